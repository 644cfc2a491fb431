"""Goes through an input once: passes over what is done, asks the rest, writes what became of it."""

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress

from askonce.cli.bulk.lines import Line
from askonce.cli.bulk.progress import Shown
from askonce.cli.bulk.records import Record, Records, changed
from askonce.cli.bulk.stopping import StopBatchError
from askonce.cli.bulk.tally import Tally

_SYNC_SECONDS = 1.0
_FINISHING = b"askonce: finishing what is being asked; Ctrl-C again does not wait for it\n"
# So far may lines that are answered be ahead of one that is not, for each that is being asked.
_AHEAD = 16


class Run:
    """One way through one input.

    `earlier` are the records of an earlier run whose failed lines are to be asked again.
    """

    def __init__(
        self,
        records: Records,
        *,
        ask: Callable[[Line], Record],
        concurrency: int,
        tally: Tally,
        shown: Shown,
        is_over: threading.Event,
        earlier: Records | None = None,
    ) -> None:
        self._records = records
        self._ask = ask
        self._concurrency = concurrency
        self._tally = tally
        self._shown = shown
        self._is_over = is_over
        self._earlier = earlier
        self._synced = time.monotonic()
        self._reason: StopBatchError | None = None

    def go(self, lines: Iterator[Line]) -> bool:
        """Ask all lines that have no record yet; return whether that has come to its end.

        Raises:
            StopBatchError: not all could be asked; what came until then is written.
        """
        pending: deque[tuple[Line, Future[Record] | Record]] = deque()
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="line")
        is_complete = False
        try:
            with suppress(_StoppedError):
                is_cut = False
                for line, done in self._new(lines):
                    pending.append((line, done or pool.submit(self._asked, line)))
                    while pending and (_is_done(pending[0][1]) or self._is_far(pending)):
                        self._write(*pending.popleft())
                    if self._is_over.is_set():
                        is_cut = True
                        break
                while pending:
                    self._write(*pending.popleft())
                is_complete = not is_cut
        finally:
            self._is_over.set()
            pool.shutdown()
        if self._reason is not None:
            raise self._reason
        return is_complete

    def _asked(self, line: Line) -> Record:
        if self._is_over.is_set():
            raise _StoppedError
        try:
            return self._ask(line)
        except StopBatchError as error:
            # The first says why; what the others run into is that all is over.
            if not self._is_over.is_set():
                self._reason = error
                self._is_over.set()
            raise _StoppedError from error

    def _is_far(self, pending: deque[tuple[Line, Future[Record] | Record]]) -> bool:
        return len(pending) >= _AHEAD * self._concurrency

    def _new(self, lines: Iterator[Line]) -> Iterator[tuple[Line, Record | None]]:
        """Yield the lines without a record; with that of an earlier run which still holds."""
        is_new = False
        for line in lines:
            if not is_new:
                done = self._records.of(line)
                if done is not None and self._fits(done, line):
                    self._tally.add(done)
                    continue
                is_new = True
                self._records.begin()
                self._shown.resume(line.end)
            yield line, self._earlier_answer(line)
        if not is_new:
            self._records.check_end()

    def _fits(self, done: Record, line: Line) -> bool:
        """Return whether a record is that of this very line.

        Raises:
            StopBatchError: it was made from another one.
        """
        if done.digest == line.digest:
            return True
        if self._earlier is None:
            raise changed(self._records.out, line.number)
        return False

    def _earlier_answer(self, line: Line) -> Record | None:
        earlier = None if self._earlier is None else self._earlier.of(line)
        if earlier is None or earlier.error is not None:
            # A line that failed may have been mended since.
            return None
        if earlier.digest != line.digest:
            raise changed(self._records.out, line.number)
        return earlier

    def _write(self, line: Line, outcome: Future[Record] | Record) -> None:
        record = outcome if isinstance(outcome, Record) else outcome.result()
        self._records.put(record)
        self._tally.add(record)
        self._shown.move(line.end)
        now = time.monotonic()
        if now - self._synced >= _SYNC_SECONDS:
            self._synced = now
            self._records.sync()


class _StoppedError(Exception):
    """A line was not asked, as nothing is any more."""


@contextmanager
def ended_by_ctrl_c(is_over: threading.Event) -> Iterator[threading.Event]:
    """Finish what runs at the first Ctrl-C, which is noted; the second ends the process at once."""
    was_told = threading.Event()

    def stop(_number: int, _frame: object) -> None:
        was_told.set()
        is_over.set()
        # Not by print, which may just be at work.
        os.write(sys.stderr.fileno(), _FINISHING)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield was_told
    finally:
        signal.signal(signal.SIGINT, before)


def _is_done(outcome: Future[Record] | Record) -> bool:
    return isinstance(outcome, Record) or outcome.done()
