"""Shows how a batch gets on: as a bar in a terminal, else as a line of text now and then."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from askonce.cli.bulk.tally import Tally

_LINE_EVERY_SECONDS = 10.0


class Shown:
    """The way through an input of `size` bytes; None where nobody knows how long it is.

    The share that is done is that of the bytes: to count the lines first would take a second
    reading, and a pipe has only one.
    """

    def __init__(
        self,
        console: Console,
        tally: Tally,
        *,
        size: int | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._tally = tally
        self._size = size
        self._now = now
        self._began = self._told = now()
        self._earlier = 0
        self._bar = Progress(
            TextColumn("{task.percentage:>3.0f}%" if size else "…"),
            BarColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("lines", total=size, facts="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def resume(self, read: int) -> None:
        """Begin behind what was done before: neither its rate nor its time counts."""
        self._earlier = self._tally.lines
        self._began = self._now()
        self._bar.reset(self._task, total=self._size, completed=read, facts="")

    def move(self, read: int) -> None:
        """Show where the batch is; `read` is how many bytes of the input are done."""
        if self._console.is_terminal:
            self._bar.update(self._task, completed=read, facts=self._facts())
        elif self._now() - self._told >= _LINE_EVERY_SECONDS:
            self._told = self._now()
            share = f"{100 * read // self._size} %, " if self._size else ""
            self._console.print(f"{share}{self._facts()}{self._time_left(read)}")

    def _facts(self) -> str:
        tally = self._tally
        seconds = max(self._now() - self._began, 0.001)
        rate = (tally.lines - self._earlier) / seconds
        failed = f" {tally.failed} failed" if tally.failed else ""
        return f"{tally.lines} lines {rate:.1f}/s {tally.hits} hits{failed} ${tally.cost:.4f}"

    def _time_left(self, read: int) -> str:
        if not self._size or not read:
            return ""
        seconds = (self._now() - self._began) * (self._size - read) / read
        return f", {seconds:.0f} s left"
