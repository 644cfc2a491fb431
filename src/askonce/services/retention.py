"""Removes what is old, in batches so small that nobody has to wait for one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from askonce.core.clock import Clock
from askonce.core.events import NO_TENANT, Action, Event
from askonce.core.ports import Database
from askonce.core.retention import Gone, Kind, Limits, Old

_LOOK_ROWS = 1000
# In order of age the first young rows end the search; some more are looked at, as clocks differ.
_YOUNG_LOOKS = 10
# What takes 2 to 5 ms on SQLite, commit included: nobody else can write meanwhile.
_BATCH_ROWS = 25
_BATCH_CHARACTERS = 50_000
# A batch is followed by a rest many times as long, so that hits beside it keep their p99.
_REST_FACTOR = 10
_SHORTEST_REST = 0.005
# What users had. That an entry has expired, or a key can be used anew, is nothing to prove.
_BOOKED = frozenset({Kind.ANALYSES, Kind.ATTEMPTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A part of the work that is done, and durable; the next one should wait for `rest` seconds."""

    kind: Kind
    gone: Gone
    rest: float = 0.0


class Retention:
    """Prunes entries, idempotency keys and, where it is limited, history with its calls."""

    def __init__(
        self, *, database: Database, clock: Clock, history: timedelta | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._history = history

    def prune(
        self, *, history_before: datetime | None = None, is_rehearsal: bool = False
    ) -> Iterator[Step]:
        """Remove what is old, step by step; the caller rests in between, or stops.

        `history_before` outranks the limit that is set. A rehearsal removes nothing, and counts
        the rows that would go, without answers. It may be stopped at any line, and any number of
        processes may prune at once: what one of them leaves, the next sweep finds.

        Raises:
            DatabaseUnavailableError: the database did not answer in time.
        """
        limits = Limits.of(self._clock.now(), history=self._history)
        if history_before is not None:
            limits = Limits(now=limits.now, history_before=history_before)
        for kind in Kind:
            before = limits.before(kind)
            if before is not None:
                yield from self._prune(kind, before, is_rehearsal=is_rehearsal)

    def _prune(self, kind: Kind, before: datetime, *, is_rehearsal: bool) -> Iterator[Step]:
        last, young = None, 0
        while True:
            began = self._clock.monotonic()
            with self._database.reading() as tx:
                look = tx.prunable(kind).look(last, before=before, limit=_LOOK_ROWS)
            seen = Gone(len(look.old)) if is_rehearsal else Gone()
            yield Step(kind=kind, gone=seen, rest=self._rest_after(began))
            if not is_rehearsal:
                yield from self._remove(kind, look.old, before)
            last, young = look.last, 0 if look.old else young + 1
            if last is None or (kind.is_in_order_of_age and young == _YOUNG_LOOKS):
                return

    def _remove(self, kind: Kind, old: Sequence[Old], before: datetime) -> Iterator[Step]:
        for batch in _batches(old):
            began = self._clock.monotonic()
            # Past the ledger: no request waits in one transaction with this one.
            with self._database.transaction() as tx:
                gone = tx.prunable(kind).remove([row.key for row in batch], before=before)
                if kind in _BOOKED and gone.rows:
                    tx.book(self._pruned(kind, gone))
            yield Step(kind=kind, gone=gone, rest=self._rest_after(began))

    def _pruned(self, kind: Kind, gone: Gone) -> Event:
        return Event(
            at=self._clock.now(),
            tenant=NO_TENANT,
            action=Action.PRUNE,
            about={kind.name.lower(): gone.rows, "answers": gone.answers},
        )

    def _rest_after(self, began: float) -> float:
        return max(_REST_FACTOR * (self._clock.monotonic() - began), _SHORTEST_REST)


def _batches(old: Sequence[Old]) -> Iterator[list[Old]]:
    batch: list[Old] = []
    size = 0
    for row in old:
        if batch and (len(batch) == _BATCH_ROWS or size + row.size > _BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.size
    if batch:
        yield batch
