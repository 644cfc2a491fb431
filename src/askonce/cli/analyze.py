"""`askonce analyze`: one text in, one answer out."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askonce.cli.endings import WRONG_SETTING, stop
from askonce.cli.options import (
    AsJson,
    Instructions,
    Key,
    MaxOutputTokens,
    Model,
    Provider,
    Refresh,
    Tenant,
    Url,
    User,
    Verbose,
)
from askonce.cli.reaching import reached
from askonce.cli.showing import ago, as_json, facts_of, note, say, taken
from askonce.core.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from askonce.client import Analysis

_STANDARD_INPUT = "-"
# More than the longest text that is answered takes: 200 000 characters of 4 bytes.
_MOST_BYTES = 800_000


def analyze(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT|FILE|-", help="A text; a file that holds one; - for standard input."
        ),
    ],
    *,
    user: User,
    provider: Provider = None,
    model: Model = None,
    instructions: Instructions = None,
    max_output_tokens: MaxOutputTokens = None,
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A JSON Schema that the answer must fit; the answer is printed as JSON.",
            rich_help_panel="What is asked",
        ),
    ] = None,
    refresh: Refresh = False,
    as_facts: AsJson = False,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    verbose: Verbose = False,
) -> None:
    """Have a text answered, or be given the answer that it had within the last 24 hours.

    The answer goes to standard output as it comes; where it is from and what it took, to standard
    error. Ctrl-C does not waste what is being paid for: the answer is kept, and the next time
    it is there.
    """
    asked = _text(text)
    wanted: dict[str, Any] = {
        "provider": provider,
        "model": model,
        "instructions": instructions,
        "max_output_tokens": max_output_tokens,
        "output_schema": None if schema is None else _schema(schema),
        "cache_control": "no-cache" if refresh else None,
    }
    with reached(url, key, tenant=tenant, is_verbose=verbose) as client:
        if as_facts:
            analysis = client.analyze(user, asked, **wanted)
            typer.echo(as_json(facts_of(analysis)))
        elif schema is not None:
            analysis = client.analyze(user, asked, **wanted)
            typer.echo(as_json(analysis.data))
        else:
            with client.stream(user, asked, **wanted) as stream:
                say(stream)
                analysis = stream.result
    note(_told(analysis))


def _text(given: str) -> str:
    """Return the text that is meant."""
    if given == _STANDARD_INPUT:
        return _decoded(sys.stdin.buffer.read(_MOST_BYTES + 1), "standard input")
    path = Path(given)
    try:
        # A pipe is one, too: <(command) in a shell.
        is_file = path.exists() and not path.is_dir()
    except (OSError, ValueError):
        # Too long for a name, or with a character that no name has.
        is_file = False
    if not is_file:
        return _decoded(os.fsencode(given), "TEXT")
    try:
        with path.open("rb") as file:
            return _decoded(file.read(_MOST_BYTES + 1), given)
    except OSError as error:
        stop(f"{given}: {error.strerror}", WRONG_SETTING)


def _decoded(content: bytes, name: str) -> str:
    if len(content) > _MOST_BYTES:
        stop(f"{name}: longer than the 200 000 characters that are answered", WRONG_SETTING)
    try:
        return content.decode()
    except UnicodeDecodeError:
        stop(f"{name}: not a text in UTF-8", WRONG_SETTING)


def _schema(path: Path) -> Mapping[str, Any]:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        stop(f"--schema: {path}: {error.strerror}", WRONG_SETTING)
    except (ValueError, RecursionError):
        stop(f"--schema: {path} is not JSON", WRONG_SETTING)
    if not isinstance(schema, dict):
        stop(f"--schema: {path} is not a JSON Schema object", WRONG_SETTING)
    return schema


def _told(analysis: "Analysis") -> str:
    """Return where an answer is from, and what it took."""
    if not analysis.cached:
        return f"asked: {taken(analysis)}"
    if "collapsed" in (analysis.cache_status or ""):
        return f"shared with a call that was running: {taken(analysis)}, spent once"
    age = "" if analysis.age is None else f", {ago(analysis.age)}"
    return f"remembered, nothing spent: {taken(analysis)}{age}"
