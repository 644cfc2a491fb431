"""The one writer of a process: everything that waits is committed together (group commit).

One fsync costs 3 ms, but 4.7 ms for the work of a hundred requests. A batch is whatever came in
while the last one was being committed; the ledger never waits for more. Works that are done one by
one cost ten times as much each: where others wait beside them, a batch has only some of them.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from askonce.core.errors import DatabaseUnavailableError, OverloadedError
from askonce.core.ports import Told
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.telemetry.meters import UNMETERED, Meters

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

_MOST_TOGETHER = 500
# Whoever comes now waits for the batch that is being committed, and then for the rest of its own.
_MOST_ALONE = 128
_MOST_ALONE_BESIDE_OTHERS = 32
_MAX_WAITING = 20_000
# A database that lets nobody write takes a full busy time to say so, for each work alone.
_APART_SECONDS = 5.0

Together = Callable[[SqlTransaction, Sequence[Any]], Sequence[Any]]


@dataclass(slots=True)
class _Entry:
    """An item of a kind of work that is done once for all its items of a batch.

    Not frozen: that would double what it costs to make one.
    """

    together: Together
    item: Any
    told: Told[Any]
    key: bytes = b""
    budgets: Sequence[int] = ()
    since: float = field(default_factory=time.perf_counter)


class GroupCommitLedger:
    """Runs works in batches on its own thread, until it is closed."""

    def __init__(self, database: SqlDatabase, *, meters: Meters = UNMETERED) -> None:
        self._meters = meters
        self._database = database
        self._waiting: queue.SimpleQueue[_Entry | None] = queue.SimpleQueue()
        # What has come, but is in no batch yet; only the ledger's thread changes these.
        self._together: deque[_Entry] = deque()
        self._alone: deque[_Entry] = deque()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
        self._thread.start()

    def write(
        self, work: Callable[[SqlTransaction], T], *, key: bytes = b"", budgets: Sequence[int] = ()
    ) -> "Future[T]":
        """Run `work` in the next batch; the future resolves when its effect is durable.

        `work` may be run twice (a batch that fails is undone and run again one by one), so it does
        nothing but use its transaction. Works are ordered by `key` within a batch, so that two
        replicas lock rows in the same order; `budgets` are those that it may change, which are
        locked before all else. The future raises what `work` raised, or
        `DatabaseUnavailableError`.

        Raises:
            OverloadedError: so much waits already that waiting is hopeless.
        """
        future: Future[T] = Future()
        self._put(_Entry(_one_by_one, work, future, key, budgets))
        return future

    def write_together(
        self, together: Callable[[SqlTransaction, Sequence[A]], Sequence[B]], item: A
    ) -> "Future[B]":
        """Run `together` in the next batch, once for all items that were given with it.

        It returns one result for each item, in their order, and runs before the batch's other
        works: it sees only what was committed before. Else as `write`; an item is run alone when
        its batch fails.
        """
        future: Future[B] = Future()
        self._put(_Entry(together, item, future))
        return future

    def tell_together(
        self,
        told: Told[B],
        together: Callable[[SqlTransaction, Sequence[A]], Sequence[B]],
        item: A,
    ) -> None:
        """Do what `write_together` does, and tell somebody instead of resolving a future."""
        self._put(_Entry(together, item, told))

    def waiting(self) -> int:
        """Return how many works wait for a batch."""
        return self._waiting.qsize() + len(self._together) + len(self._alone)

    def close(self) -> None:
        """Write what waits, then stop."""
        self._waiting.put(None)
        self._thread.join()

    def _put(self, entry: _Entry) -> None:
        if self.waiting() >= _MAX_WAITING:
            raise OverloadedError
        self._waiting.put(entry)

    def _run(self) -> None:
        is_over = False
        while not is_over or self._together or self._alone:
            is_over = is_over or self._take_in()
            batch = self._next_batch()
            if batch:
                self._commit(batch)

    def _take_in(self) -> bool:
        """Sort what has come by how it is done; True when nothing more will come."""
        is_idle = not self._together and not self._alone
        with suppress(queue.Empty):
            while True:
                entry = self._waiting.get() if is_idle else self._waiting.get_nowait()
                if entry is None:
                    return True
                is_idle = False
                kind = self._alone if entry.together is _one_by_one else self._together
                kind.append(entry)
        return False

    def _next_batch(self) -> list[_Entry]:
        batch = _taken(self._together, _MOST_TOGETHER)
        return batch + _taken(self._alone, _MOST_ALONE_BESIDE_OTHERS if batch else _MOST_ALONE)

    def _commit(self, batch: list[_Entry]) -> None:
        try:
            with self._database.transaction() as tx:
                done = _run_all(tx, batch)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the work
            if isinstance(error, DatabaseUnavailableError):
                self._meters.batch_failed()
            self._commit_apart(batch, error)
            return
        oldest = min(entry.since for entry in batch)
        self._meters.batch_committed(len(batch), time.perf_counter() - oldest)
        for entry, result in done:
            entry.told.set_result(result)

    def _commit_apart(self, batch: list[_Entry], error: Exception) -> None:
        """Run the works of a failed batch one by one, so that only the guilty one fails."""
        if len(batch) == 1:
            batch[0].told.set_exception(error)
            return
        is_away = isinstance(error, DatabaseUnavailableError)
        if is_away:
            # Whatever it says: without this thread nothing would ever be written again.
            with suppress(Exception):
                self._database.ping()
                is_away = False
        until = time.clock_gettime(time.CLOCK_MONOTONIC) + _APART_SECONDS
        for entry in batch:
            if is_away or time.clock_gettime(time.CLOCK_MONOTONIC) >= until:
                # Without this a batch would wait for two hundred connection or lock timeouts.
                entry.told.set_exception(DatabaseUnavailableError())
            else:
                self._commit([entry])


def _taken(entries: deque[_Entry], most: int) -> list[_Entry]:
    return [entries.popleft() for _ in range(min(most, len(entries)))]


def _run_all(tx: SqlTransaction, batch: list[_Entry]) -> list[tuple[_Entry, Any]]:
    """Run a batch, and return what each of its entries gave."""
    budgets = {budget for entry in batch for budget in entry.budgets}
    if budgets:
        tx.budgets.lock(sorted(budgets))
    kinds: dict[Together, list[_Entry]] = {}
    for entry in sorted(batch, key=lambda entry: entry.key):
        kinds.setdefault(entry.together, []).append(entry)
    done: list[tuple[_Entry, Any]] = []
    # The same order in all processes: else two of them could wait for each other's rows.
    for together in sorted(kinds, key=lambda one: (one is _one_by_one, one.__qualname__)):
        entries = kinds[together]
        done += zip(entries, together(tx, [entry.item for entry in entries]), strict=True)
    return done


def _one_by_one(tx: SqlTransaction, works: Sequence[Callable[[SqlTransaction], Any]]) -> list[Any]:
    return [work(tx) for work in works]
