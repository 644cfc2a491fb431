"""The doors to the audit trail, its seals and the usage in the database."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from askonce.core.events import Event
from askonce.core.ranges import Range
from askonce.core.seals import Coverage, Facts, Seal
from askonce.core.usage import UsageFilter, UsageGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """Which events to list, newest first; all tenants' without `tenant`."""

    tenant: str | None = None
    user_id: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before_id: int | None = None
    limit: int = 10


@dataclass(frozen=True, slots=True)
class Booked:
    """An event with its place in the trail."""

    id: int
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Some events, newest first; `before_id` is where the next page starts, if there is one.

    With filters a page may hold fewer than were wanted, and there may be more all the same.
    """

    items: Sequence[Booked]
    before_id: int | None = None


class Trail(Protocol):
    """The audit trail. Nothing in it is ever changed or removed."""

    def add(self, events: Sequence[Event]) -> None:
        """Write events down."""

    def newest(self, wanted: EventFilter) -> EventPage:
        """Return up to `wanted.limit` events, the largest id first."""

    def unsettled(self, coverage: Coverage, *, limit: int) -> Sequence[tuple[int, Facts]]:
        """Return the next events that no seal covers, by ascending id, as they are hashed."""

    def within(self, ids: Range) -> Iterator[tuple[int, Facts]]:
        """Return the events of these ids, by ascending id."""

    def count_unsettled(self, coverage: Coverage) -> int:
        """Return how many events no seal covers yet."""


class Seals(Protocol):
    """The seals over the trail, each chained to the one before."""

    def newest(self) -> Seal | None:
        """Return the last seal."""

    def after(self, number: int) -> Seal | None:
        """Return the seal with the next number that there is."""

    def add(self, seal: Seal) -> bool:
        """Append a seal; False when there is one of its number already."""


class UsageBooks(Protocol):
    """What was spent and saved."""

    def add(self, events: Iterable[Event]) -> None:
        """Add what events took and saved."""

    def summed(self, wanted: UsageFilter) -> Sequence[UsageGroup]:
        """Return exact sums by group, in the order of their names."""
