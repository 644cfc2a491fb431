"""The files of one batch, and the way through them."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from askonce.cli.bulk.lines import Line, Reading
from askonce.cli.bulk.progress import Shown
from askonce.cli.bulk.records import Record, Records, again
from askonce.cli.bulk.run import Run
from askonce.cli.bulk.stopping import StopBatchError
from askonce.cli.bulk.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What is read, and what is written."""

    source: str
    out: Path
    errors: Path | None
    reading: Reading

    def check(self) -> None:
        """See that these files can be what they are to be, before anything is made of them.

        Raises:
            StopBatchError: the input is not there, or an output is no file of its own.
        """
        taken = []
        if self.source != "-":
            source = Path(self.source)
            if not source.exists():
                raise StopBatchError(f"{source}: there is no such file", is_wrong_use=True)
            taken.append(source.resolve())
        for path in filter(None, (self.out, self.errors)):
            if path.exists() and not path.is_file():
                message = f"{path}: is no file, and what is written is read again when it goes on"
                raise StopBatchError(message, is_wrong_use=True)
            if not path.absolute().parent.is_dir():
                raise StopBatchError(f"{path}: there is no such folder", is_wrong_use=True)
            if path.resolve() in taken:
                raise StopBatchError(f"{path}: is named twice", is_wrong_use=True)
            taken.append(path.resolve())

    @contextmanager
    def input(self) -> Iterator[BinaryIO]:
        if self.source == "-":
            yield sys.stdin.buffer
            return
        try:
            file = Path(self.source).open("rb")  # noqa: SIM115 - what the block raises is not ours
        except OSError as error:
            message = f"{self.source}: {error.strerror}"
            raise StopBatchError(message, is_wrong_use=True) from None
        with file:
            yield file

    @property
    def size(self) -> int | None:
        """How many bytes the input has; None where that is not known before its end."""
        path = Path(self.source)
        return path.stat().st_size or None if self.source != "-" and path.is_file() else None


def go(
    files: Files,
    tally: Tally,
    console: Console,
    *,
    ask: Callable[[Line], Record],
    concurrency: int,
    is_over: threading.Event,
    is_retry: bool,
) -> bool:
    """Write the records that are missing; what failed is asked again where that is wanted.

    Returns whether each line has its record now.

    Raises:
        StopBatchError: not all could be written.
    """
    records = Records(files.out, files.errors)
    earlier: Records | None = None
    if is_retry:
        earlier, records = records, Records(again(files.out), files.errors and again(files.errors))
    is_complete = False
    try:
        with files.input() as source, Shown(console, tally, size=files.size) as shown:
            run = Run(
                records,
                ask=ask,
                concurrency=concurrency,
                tally=tally,
                shown=shown,
                is_over=is_over,
                earlier=earlier,
            )
            is_complete = run.go(files.reading.lines(source))
    finally:
        records.close()
        if earlier is not None:
            earlier.close()
    if earlier is not None and is_complete:
        records.replace(earlier)
    return is_complete
