"""`askonce batch`: asks each line of a file, once, and can be stopped and resumed at any time."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.bulk.lines import Format, Reading
from askonce.cli.bulk.stopping import StopBatchError, WaitingError
from askonce.cli.endings import FAILED, INTERRUPTED, WRONG_SETTING, stop, told_in_one_line
from askonce.core.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from rich.console import Console

    from askonce.cli.bulk.files import Files
    from askonce.cli.bulk.tally import Tally

STOPPED = 3
WAITING = 4

# As many connections as the client has.
_MOST_AT_ONCE = 100
# A rate limit that counts by the minute lets through what waits for it within some minutes.
_PATIENCE_SECONDS = 900.0
_ANYBODY = "anonymous"


def batch(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="JSON lines, or CSV; - reads stdin.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where a record of each line goes.")],
    errors: Annotated[
        Path | None, typer.Option(help="Where the records of failed lines go instead.")
    ] = None,
    user: Annotated[
        str, typer.Option(help="For whom lines are asked that name nobody.")
    ] = _ANYBODY,
    column: Annotated[str, typer.Option(help="What the field with the text is called.")] = "text",
    input_format: Annotated[
        Format | None, typer.Option("--format", help="Of the input; else by its name.")
    ] = None,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Pass over fields that mean nothing here.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, max=_MOST_AT_ONCE, help="How many lines are asked at one time.")
    ] = 16,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Ask anew what is in the cache, too.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Ask the lines again that failed before.")
    ] = False,
    patience: Annotated[
        float,
        typer.Option(
            min=0, metavar="SECONDS", help="How long to go on with a line that cannot be asked now."
        ),
    ] = _PATIENCE_SECONDS,
    url: Annotated[
        str | None,
        typer.Option(help="A running service; else ASKONCE_URL's, else the database itself."),
    ] = None,
    key: Annotated[str | None, typer.Option(help="The key for it; else ASKONCE_KEY's.")] = None,
    tenant: Annotated[str, typer.Option(help="Whose, without a URL.")] = DEFAULT_TENANT,
    provider_batch: Annotated[
        bool,
        typer.Option(
            "--provider-batch", help="Through the vendors' own batches: half the price, in a day."
        ),
    ] = False,
    wait: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="With --provider-batch: wait, and look so often."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The summary, for programs.")] = False,
) -> None:
    """Ask each line of a file, and write a record of each.

    A line is an object: text, and where wanted user_id, id, provider, model, instructions,
    output_schema, max_output_tokens. The same command again goes on where this one was stopped,
    and pays for nothing twice. Exit codes: 0 each line has its answer, 1 some lines failed,
    2 wrong use, 3 stopped before the end, 4 some answers are still being made (with
    --provider-batch: the same command collects them), 130 stopped by Ctrl-C.
    """
    from rich.console import Console

    from askonce.cli.bulk.files import Files
    from askonce.cli.bulk.tally import Tally

    reading = Reading(
        format=input_format or _format_of(source),
        user_id=user,
        text_column=column,
        ignores_unknown=ignore_unknown,
    )
    files = Files(source=source, out=out, errors=errors, reading=reading)
    tally = Tally()
    console = Console(stderr=True, highlight=False, markup=False)
    with told_in_one_line(), _told_why(tally):
        files.check()
        if retry_failed and not out.exists():
            raise StopBatchError(f"{out}: there is nothing to ask again", is_wrong_use=True)
        if provider_batch:
            from askonce.cli.bulk.batching import batched

            _check_batches(url, files)
            was_told = batched(
                files,
                tally,
                console,
                tenant=tenant,
                is_refresh=refresh,
                is_retry=retry_failed,
                wait=wait,
            )
        else:
            was_told = _asked(
                files,
                tally,
                console,
                url=url,
                key=key,
                tenant=tenant,
                patience=patience,
                concurrency=concurrency,
                is_refresh=refresh,
                is_retry=retry_failed,
            )
    _end(files, tally, was_told=was_told, as_json=as_json)


def _asked(
    files: "Files",
    tally: "Tally",
    console: "Console",
    *,
    url: str | None,
    key: str | None,
    tenant: str,
    patience: float,
    concurrency: int,
    is_refresh: bool,
    is_retry: bool,
) -> bool:
    """Ask what has no answer yet; return whether Ctrl-C made an end of it.

    Raises:
        StopBatchError: something else did.
    """
    from askonce.cli.bulk.asking import Asking, patient
    from askonce.cli.bulk.files import go
    from askonce.cli.bulk.records import begun
    from askonce.cli.bulk.run import ended_by_ctrl_c
    from askonce.cli.reaching import reached

    is_over = threading.Event()
    with (
        begun(files.out, files.errors) as run,
        reached(url, key, tenant=tenant, patience=patient(is_over, patience)) as client,
        ended_by_ctrl_c(is_over) as was_told,
    ):
        go(
            files,
            tally,
            console,
            ask=Asking(client, run=run, is_refresh=is_refresh).ask,
            concurrency=concurrency,
            is_over=is_over,
            is_retry=is_retry,
        )
        return was_told.is_set()


def _check_batches(url: str | None, files: "Files") -> None:
    from askonce.config import load_remote

    if load_remote(url, None).url is not None:
        message = (
            "--provider-batch works on the database, with the keys of the vendors: "
            "without --url and ASKONCE_URL"
        )
        raise StopBatchError(message, is_wrong_use=True)
    if files.source == "-":
        message = "--provider-batch reads its input twice: name a file, not standard input"
        raise StopBatchError(message, is_wrong_use=True)


def _end(files: "Files", tally: "Tally", *, was_told: bool, as_json: bool) -> None:
    from askonce.cli.bulk.records import finished

    typer.echo(json.dumps(tally.facts()) if as_json else tally.told())
    if was_told:
        stop("stopped; the same command goes on from here", INTERRUPTED)
    if tally.failed:
        where = files.errors or files.out
        message = f"{tally.failed} lines failed: {where} says why. --retry-failed asks them again"
        stop(message, FAILED)
    finished(files.out)


@contextmanager
def _told_why(tally: "Tally") -> Iterator[None]:
    try:
        yield
    except StopBatchError as error:
        if error.is_wrong_use:
            stop(str(error), WRONG_SETTING)
        typer.echo(tally.told(), err=True)
        code = WAITING if isinstance(error, WaitingError) else STOPPED
        stop(f"{error}; the same command goes on from here", code)


def _format_of(source: str) -> Format:
    return Format.CSV if source.lower().endswith(".csv") else Format.JSONL
