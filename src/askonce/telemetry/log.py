"""Logs are events with fields. No text, answer or key is ever one of them."""

import json
import logging
import sys
from datetime import UTC, datetime
from functools import cache
from typing import Any

import structlog

from askonce.telemetry.lines import Lines

_STANDARD_ERROR = 2

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


def configure(level: str) -> None:
    """Write one line per event to standard error: JSON, or readable on a terminal."""
    is_terminal = sys.stderr.isatty()
    lines = _standard_error()
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if is_terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=lines),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    _ShortWay.is_silent = level not in ("DEBUG", "INFO")
    _ShortWay.lines = None if is_terminal else lines
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    # At DEBUG these print prompts, keys or URLs.
    for name in ("anthropic", "openai", "httpx2", "httpcore2", "backoff", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def drain() -> None:
    """Write what waits to be written: this process is about to end."""
    _standard_error().flush()


@cache
def _standard_error() -> Lines:
    return Lines(_STANDARD_ERROR)
