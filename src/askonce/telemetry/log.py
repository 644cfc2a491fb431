"""Logs are events with fields. No text, answer or key is ever one of them."""

import logging
import sys
from typing import Any

import structlog

_log = structlog.get_logger("askonce")


def info(event: str, **facts: Any) -> None:
    """Note that something happened; `event` is snake_case in the past tense."""
    _log.info(event, **facts)


def warning(event: str, **facts: Any) -> None:
    """Note something that an operator may want to know."""
    _log.warning(event, **facts)


def error(event: str, **facts: Any) -> None:
    """Note something that an operator must know."""
    _log.error(event, **facts)


def configure(level: str) -> None:
    """Write one line per event to standard error: JSON, or readable on a terminal."""
    is_terminal = sys.stderr.isatty()
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
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    # At DEBUG these print prompts, keys or URLs.
    for name in ("anthropic", "openai", "httpx2", "httpcore2", "backoff", "sqlalchemy", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
