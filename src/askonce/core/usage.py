"""What was spent and what was saved: exact sums over events."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from askonce.core.attempts import CIRCUIT_OPEN, Outcome
from askonce.core.events import ASKED, Action, Event
from askonce.core.landings import Way

_NOTHING = Decimal(0)


@dataclass(slots=True, kw_only=True)
class Totals:
    """Counts that add up; money in US dollars.

    `calls` are all that were made to providers. Of these, `failed` gave nothing, and what
    `unpriced` cost is not known: they are not in `cost`. `hits`, `collapsed` and `replays` are
    the requests that were answered without a call, and `saved_*` is what those answers had taken;
    the price of `saved_unpriced` of them is not known.
    """

    calls: int = 0
    failed: int = 0
    unpriced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal = field(default=_NOTHING)
    hits: int = 0
    collapsed: int = 0
    replays: int = 0
    saved_unpriced: int = 0
    saved_tokens_in: int = 0
    saved_tokens_out: int = 0
    saved_cost: Decimal = field(default=_NOTHING)

    def add(self, other: "Totals") -> None:
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))


COUNTED = tuple(one.name for one in fields(Totals))


class Account(NamedTuple):
    """Whose usage, of what, on which day (UTC). `key_id` is 0 where no key was asked for.

    A tuple: one is made and looked up for each hit.
    """

    tenant: str
    user_id: str
    day: date
    key_id: int
    provider: str
    model: str


class GroupBy(StrEnum):
    """What usage is added up by."""

    DAY = "day"
    PROVIDER = "provider"
    MODEL = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilter:
    """Which usage to add up: days from `since` on, and before `until`."""

    tenant: str
    user_id: str | None = None
    since: date | None = None
    until: date | None = None
    group_by: GroupBy = GroupBy.DAY


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """The usage of one day, provider or model."""

    name: str
    totals: Totals


def added_up(events: Iterable[Event]) -> dict[Account, Totals]:
    """Return what events add to the books, by account; those that touched no money, nothing."""
    accounts: dict[Account, Totals] = {}
    days: dict[datetime, date] = {}
    for event in events:
        if event.action in ASKED:
            if event.outcome in _FREE:
                _save(_account(accounts, days, event, event.at), event)
        elif event.action is Action.CALL:
            if event.unknown_since is not None:
                # It was booked before anybody knew how it would end.
                before = _account(accounts, days, event, event.unknown_since)
                before.calls -= 1
                before.unpriced -= 1
            if event.about.get("reason") != CIRCUIT_OPEN:
                _spend(_account(accounts, days, event, event.at), event)
    return accounts


_FREE = {Way.HIT.value: "hits", Way.COLLAPSED.value: "collapsed", Way.REPLAY.value: "replays"}


def _account(
    accounts: dict[Account, Totals], days: dict[datetime, date], event: Event, at: datetime
) -> Totals:
    # A batch has few moments.
    day = days.get(at)
    if day is None:
        day = days[at] = at.astimezone(UTC).date()
    account = Account(
        event.tenant,
        event.user_id or "",
        day,
        event.key_id or 0,
        event.provider or "",
        event.model or "",
    )
    totals = accounts.get(account)
    if totals is None:
        totals = accounts[account] = Totals()
    return totals


def _spend(totals: Totals, event: Event) -> None:
    totals.calls += 1
    if event.outcome == Outcome.FAILED.value:
        totals.failed += 1
        return
    totals.tokens_in += event.tokens_in or 0
    totals.tokens_out += event.tokens_out or 0
    if event.cost is None:
        totals.unpriced += 1
    else:
        totals.cost += event.cost


def _save(totals: Totals, event: Event) -> None:
    way = _FREE[event.outcome]
    setattr(totals, way, getattr(totals, way) + 1)
    totals.saved_tokens_in += event.tokens_in or 0
    totals.saved_tokens_out += event.tokens_out or 0
    if event.tokens_in is None:
        # What was replayed is no model's answer.
        return
    if event.cost is None:
        totals.saved_unpriced += 1
    else:
        totals.saved_cost += event.cost
