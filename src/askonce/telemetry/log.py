"""Logs are events with fields. No text, answer or key is ever one of them."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from functools import cache
from typing import Any

import structlog

from askonce.telemetry import traces
from askonce.telemetry.lines import Lines

_STANDARD_ERROR = 2
_MOST_FRAMES = 8

_log = structlog.get_logger("askonce")
_encode = json.JSONEncoder().encode


class _ShortWay:
    """How frequent events are written: None for the way of all others."""

    lines: Lines | None = None
    is_silent = False


def info(event: str, **facts: Any) -> None:
    """Note that something happened; `event` is snake_case in the past tense."""
    _log.info(event, **facts)


def info_often(event: str, **facts: Any) -> None:
    """Note what happens with each request, as `info` does, at a tenth of its cost."""
    if _ShortWay.is_silent:
        return
    if _ShortWay.lines is None:
        _log.info(event, **facts)
        return
    facts["event"] = event
    facts["level"] = "info"
    facts["timestamp"] = f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z"
    _ShortWay.lines.write(_encode(facts) + "\n")


def warning(event: str, **facts: Any) -> None:
    """Note something that an operator may want to know."""
    _log.warning(event, **facts)


def error(event: str, **facts: Any) -> None:
    """Note something that an operator must know."""
    _log.error(event, **facts)


def configure(level: str, written: str = "auto") -> None:
    """Write one line per event to standard error, as `json` or as `text`.

    `auto` is text on a terminal and JSON elsewhere.
    """
    is_text = sys.stderr.isatty() if written == "auto" else written == "text"
    lines = _standard_error()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _in_trace,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if is_text
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=lines),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    _ShortWay.is_silent = level not in ("DEBUG", "INFO")
    _ShortWay.lines = None if is_text else lines
    logging.basicConfig(level=level, handlers=[_Libraries()])
    # At DEBUG these print prompts, keys or URLs.
    for name in ("anthropic", "openai", "httpx2", "httpcore2", "backoff", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


class _Libraries(logging.Handler):
    """What libraries log becomes events as ours are.

    Of an exception its type and its place are told. Its message may hold what somebody said.
    """

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, object] = {"logger": record.name}
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            facts["error"] = type(error).__name__
            facts["at"] = [
                f"{frame.filename}:{frame.lineno}"
                for frame in traceback.extract_tb(error.__traceback__, limit=-_MOST_FRAMES)
            ]
        _log.log(record.levelno, record.getMessage().strip(), **facts)


def _in_trace(
    _log: object, _level: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say which trace an event belongs to, where there are any."""
    trace_id = traces.current_id()
    if trace_id is not None:
        event["trace_id"] = trace_id
    return event


def drain() -> None:
    """Write what waits to be written: this process is about to end."""
    _standard_error().flush()


@cache
def _standard_error() -> Lines:
    return Lines(_STANDARD_ERROR)
