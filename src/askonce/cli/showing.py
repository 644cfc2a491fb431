"""How answers are shown: to people in words, to programs as JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

from askonce.cli.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from askonce.client import Analysis, Message

_MINUTE = 60
_HOUR = 60 * _MINUTE
_WIDE_ENOUGH = 120


def console(*, is_error: bool = False) -> "Console":
    """Return what prints tables: with colours on a terminal alone, and not where NO_COLOR is set.

    What is not a terminal has no width; then lines are as wide as most of them need.
    """
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False, stderr=is_error)
    if not made.is_terminal:
        made.width = max(made.width, _WIDE_ENOUGH)
    return made


def say(pieces: Iterable[str]) -> None:
    """Print a text as it comes; it ends with its line."""
    last = "\n"
    for piece in pieces:
        shown = printable(piece)
        typer.echo(shown, nl=False)
        last = shown[-1:] or last
    if last != "\n":
        typer.echo()


def note(text: str) -> None:
    """Print what is no part of an answer, on standard error."""
    console(is_error=True).print(printable(text), style="dim", soft_wrap=True)


def as_json(value: object, *, indent: int | None = 2) -> str:
    """Return a value as JSON, in the API's own words; all of it is ASCII, and so does nothing."""
    return json.dumps(value, indent=indent, default=_written)


def facts_of(analysis: "Analysis") -> dict[str, Any]:
    """Return what is known of an analysis, without what is not."""
    facts = asdict(analysis)
    for name in ("text", "cache_status", "age"):
        if facts[name] is None:
            del facts[name]
    return facts


def taken(answer: "Analysis | Message") -> str:
    """Return what an answer took: who gave it, tokens, dollars."""
    parts = [f"{answer.provider} {answer.model}"]
    parts.append(f"{answer.tokens_in} tokens in, {answer.tokens_out} out")
    parts.append(dollars(answer.cost_usd))
    if answer.finish_reason == "length":
        parts.append("cut at its limit (--max-output-tokens)")
    elif answer.finish_reason == "refusal":
        parts.append("refused")
    return ", ".join(parts)


def dollars(cost: Decimal | None) -> str:
    """Return an amount as people read it: exact, and no zeros that say nothing."""
    if cost is None:
        return "price not known"
    whole, _, rest = f"{cost:f}".partition(".")
    return f"${whole}.{rest.rstrip('0').ljust(2, '0')}"


def ago(seconds: int) -> str:
    """Return how long ago something was."""
    if seconds < _MINUTE:
        return f"{seconds} s ago"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min ago"
    return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min ago"


def _written(value: object) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat().removesuffix("+00:00") + "Z"
    raise TypeError(f"{type(value).__name__} is not JSON")
