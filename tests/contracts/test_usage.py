"""What was spent and saved, on both databases: exact sums, in the transaction that they are of."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from askonce.core.attempts import CIRCUIT_OPEN
from askonce.core.events import Action, Event
from askonce.core.usage import GroupBy, Totals, UsageFilter
from askonce.db.database import SqlDatabase
from tests.contracts.trails import an_event, book
from tests.examples import DAY, NOW

SMALLEST = Decimal("0.000000000001")


def a_call(**changes: Any) -> Event:
    """Return a call of Alice's that was answered."""
    facts: dict[str, Any] = {"action": Action.CALL, "outcome": "answered", "cost": SMALLEST}
    return an_event(**facts | changes)


def summed(database: SqlDatabase, **wanted: Any) -> dict[str, Totals]:
    facts: dict[str, Any] = {"tenant": "default", "user_id": "alice"}
    with database.reading() as tx:
        return {one.name: one.totals for one in tx.usage.summed(UsageFilter(**facts | wanted))}


def test_sums_are_exact(database: SqlDatabase) -> None:
    huge = Decimal("1000000.000000000001")
    book(database, a_call(cost=huge), a_call(cost=SMALLEST))
    book(database, *[a_call(cost=Decimal("0.1"))] * 10)

    (totals,) = summed(database).values()

    assert totals.cost == huge + SMALLEST + 1
    assert (totals.calls, totals.tokens_in, totals.tokens_out) == (12, 12 * 120, 12 * 23)


def test_what_has_no_known_price_is_counted_and_not_taken_for_nothing(
    database: SqlDatabase,
) -> None:
    book(
        database,
        a_call(cost=None),
        a_call(outcome="unknown", cost=None, tokens_in=None, tokens_out=None),
        a_call(outcome="failed", cost=None, tokens_in=None, tokens_out=None),
        a_call(outcome="invalid"),
        a_call(outcome="duplicate"),
        an_event(cost=None),
    )

    (totals,) = summed(database).values()

    assert (totals.calls, totals.failed, totals.unpriced) == (5, 1, 2)
    assert totals.cost == 2 * SMALLEST
    assert (totals.hits, totals.saved_unpriced) == (1, 1)
    assert not totals.saved_cost


def test_who_was_answered_without_a_call_has_saved_one(database: SqlDatabase) -> None:
    ways = ["hit", "hit", "collapsed", "replay", "miss", "bypass"]
    book(database, *(an_event(outcome=way, cost=SMALLEST) for way in ways))

    (totals,) = summed(database).values()

    assert (totals.hits, totals.collapsed, totals.replays, totals.calls) == (2, 1, 1, 0)
    assert (totals.saved_cost, totals.saved_tokens_in) == (4 * SMALLEST, 480)
    assert not totals.cost
    assert not totals.tokens_in


def test_an_intent_that_no_call_followed_is_no_call(database: SqlDatabase) -> None:
    book(database, a_call(outcome="failed", cost=None, about={"reason": CIRCUIT_OPEN}))

    assert [one.calls for one in summed(database).values()] in ([], [0])


def test_a_call_that_was_taken_for_lost_is_counted_once(database: SqlDatabase) -> None:
    book(database, a_call(outcome="unknown", cost=None, tokens_in=None, tokens_out=None))
    book(database, a_call(at=NOW + DAY, unknown_since=NOW))

    days = summed(database)

    assert [(one.calls, one.unpriced) for one in days.values()] == [(0, 0), (1, 0)]


@pytest.mark.parametrize(
    ("group_by", "names"),
    [
        (GroupBy.DAY, ["2026-11-21", "2026-11-22"]),
        (GroupBy.PROVIDER, ["claude", "openai"]),
        (GroupBy.MODEL, ["claude-haiku-5-5", "gpt-6-luna", "gpt-6-sol"]),
    ],
)
def test_is_added_up_by_day_provider_and_model(
    database: SqlDatabase, group_by: GroupBy, names: list[str]
) -> None:
    book(
        database,
        a_call(),
        a_call(provider="openai", model="gpt-6-sol", at=NOW + DAY),
        a_call(provider="openai", model="gpt-6-luna", key_id=None),
        a_call(user_id="bob", provider="local"),
        a_call(tenant="other", provider="local"),
    )

    groups = summed(database, group_by=group_by)

    assert list(groups) == names
    assert sum(one.calls for one in groups.values()) == 3


def test_days_are_those_of_utc_and_can_be_chosen(database: SqlDatabase) -> None:
    midnight = NOW.replace(hour=0)
    book(
        database,
        a_call(at=midnight - timedelta(microseconds=1)),
        a_call(at=midnight),
        a_call(at=midnight + DAY),
    )

    chosen = summed(database, since=midnight.date(), until=(midnight + DAY).date())

    assert list(chosen) == ["2026-11-21"]
    assert len(summed(database)) == 3


def test_a_whole_tenant_can_be_added_up(database: SqlDatabase) -> None:
    book(database, a_call(), a_call(user_id="bob"), a_call(tenant="other"))

    assert [one.calls for one in summed(database, user_id=None).values()] == [2]
