"""Every picodollar is accounted for: what is held, spent, and unknown; on both databases."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from askonce.core.attempts import Outcome
from askonce.core.budgets import (
    Budget,
    Hold,
    Kind,
    Period,
    Scope,
    Standing,
    Unit,
    most_tokens_in,
    picodollars,
)
from askonce.core.flights import Lease
from askonce.core.retention import Kind as Old
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.services.keeping import adopt
from askonce.services.retention import Retention
from tests.examples import ALICE, DAY, KEY, NOW, a_purchase, a_question, an_answer
from tests.fakes.clock import FakeClock

LEASE = Lease(fingerprint=KEY, epoch=0, fence=0)
TODAY = Period.DAY.start(NOW)
_TENANTS = count(1)


def scope(**changes: Any) -> Scope:
    facts = {
        "tenant": "default",
        "kind": Kind.TENANT,
        "name": "",
        "unit": Unit.TOKENS,
        "period": Period.DAY,
    }
    return Scope(**facts | changes)


def budget(database: SqlDatabase, amount: int, **changes: Any) -> Budget:
    wanted = scope(**changes)
    with database.transaction() as tx:
        tx.budgets.put(wanted, amount, at=NOW)
        return next(one for one in tx.budgets.news(None).budgets if one.scope == wanted)


def standing(database: SqlDatabase, of: Budget) -> Standing:
    with database.reading() as tx:
        return next(one for one in tx.budgets.standings(NOW) if one.budget.id == of.id)


def amounts(database: SqlDatabase, of: Budget) -> tuple[int, int, int]:
    """Return what is spent of a budget, what is held, and what is unknown of what is spent."""
    now = standing(database, of)
    return now.spent, now.reserved, now.unknown


def opened(tx: SqlTransaction, *holds: Hold, owner: str = "one", key: bytes = KEY) -> int | None:
    """Write the intent to make a call, if the budgets allow it."""
    held = tx.budgets.reserve(holds)
    if isinstance(held, Hold):
        return None
    lease = Lease(fingerprint=key, epoch=0, fence=0)
    attempt_id = tx.attempts.open(
        ALICE, lease, owner=owner, provider="claude", model="m", at=NOW, is_budgeted=bool(held)
    )
    if held:
        tx.budgets.note(attempt_id, held)
    return attempt_id


def test_what_does_not_fit_is_refused_and_holds_nothing_anywhere(database: SqlDatabase) -> None:
    wide, narrow = budget(database, 100), budget(database, 10, kind=Kind.USER, name="alice")

    with database.transaction() as tx:
        first = opened(tx, Hold(wide, TODAY, 7), Hold(narrow, TODAY, 7))
        second = opened(tx, Hold(wide, TODAY, 4), Hold(narrow, TODAY, 4))
        third = opened(tx, Hold(wide, TODAY, 3), Hold(narrow, TODAY, 3))

    assert first is not None
    assert second is None
    assert third is not None
    assert amounts(database, wide) == amounts(database, narrow) == (0, 10, 0)


def test_a_call_that_costs_more_than_all_there_is_is_refused(database: SqlDatabase) -> None:
    small = budget(database, 10)

    with database.transaction() as tx:
        assert opened(tx, Hold(small, TODAY, 11)) is None
    assert amounts(database, small) == (0, 0, 0)


def test_a_budget_that_was_removed_meanwhile_lets_calls_pass(database: SqlDatabase) -> None:
    gone, stays = budget(database, 10), budget(database, 10, period=Period.MONTH)
    month = Period.MONTH.start(NOW)
    with database.transaction() as tx:
        before = opened(tx, Hold(gone, TODAY, 5), Hold(stays, month, 5))
        assert tx.budgets.remove(gone.scope)
        assert not tx.budgets.remove(gone.scope)

    with database.transaction() as tx:
        after = opened(tx, Hold(gone, TODAY, 5), Hold(stays, month, 5))
        for attempt_id in (before, after):
            assert attempt_id is not None
            tx.attempts.settle(attempt_id, Outcome.FAILED, at=NOW)

    assert amounts(database, stays) == (0, 0, 0)


@pytest.mark.parametrize(
    ("outcome", "cost", "expected"),
    [
        (Outcome.ANSWERED, Decimal("0.000213"), 213_000_000),
        (Outcome.DUPLICATE, Decimal("0.000213"), 213_000_000),
        (Outcome.INVALID, Decimal("0.000213"), 213_000_000),
        # More than was held: what was spent was spent.
        (Outcome.ANSWERED, Decimal(1), 10**12),
        (Outcome.FAILED, None, 0),
    ],
)
def test_a_call_is_charged_with_what_it_cost(
    database: SqlDatabase, outcome: Outcome, cost: Decimal | None, expected: int
) -> None:
    dollars, tokens = budget(database, 10**12, unit=Unit.USD), budget(database, 1000)
    answer = None if cost is None else an_answer(cost=cost)
    with database.transaction() as tx:
        attempt_id = opened(tx, Hold(dollars, TODAY, 10**9), Hold(tokens, TODAY, 1000))
        assert attempt_id is not None
        for _ in range(2):
            # A commit whose acknowledgement was lost is made again.
            tx.attempts.settle(attempt_id, outcome, at=NOW, answer=answer)

    assert amounts(database, dollars) == (expected, 0, 0)
    assert amounts(database, tokens) == (0 if answer is None else 143, 0, 0)


def test_an_answer_of_unknown_price_is_charged_in_full(database: SqlDatabase) -> None:
    dollars = budget(database, 10**12, unit=Unit.USD)
    with database.transaction() as tx:
        attempt_id = opened(tx, Hold(dollars, TODAY, 10**9))
        assert attempt_id is not None
        tx.attempts.settle(attempt_id, Outcome.ANSWERED, at=NOW, answer=an_answer(cost=None))

    assert amounts(database, dollars) == (10**9, 0, 10**9)


@pytest.mark.parametrize("way", ["one question", "all questions"])
def test_what_the_dead_left_open_is_charged_in_full_and_put_right_when_it_is_known(
    database: SqlDatabase, way: str
) -> None:
    tokens = budget(database, 10_000)
    with database.transaction() as tx:
        dead = opened(tx, Hold(tokens, TODAY, 1000), owner="dead")
        opened(tx, Hold(tokens, TODAY, 500), owner="dead")
        opened(tx, Hold(tokens, TODAY, 200), owner="alive")
    assert dead is not None

    with database.transaction() as tx:
        if way == "one question":
            tx.attempts.abandon(KEY, owner="dead", at=NOW)
        else:
            tx.attempts.abandon_all("dead", started_before=NOW + DAY, at=NOW)
    charged = amounts(database, tokens)
    purchase = a_purchase(attempt_id=dead, lease=LEASE, has_lease=False)
    with database.transaction() as tx:
        outcome = adopt(tx, purchase, cache_ttl=DAY, now=NOW)
        again = adopt(tx, purchase, cache_ttl=DAY, now=NOW)

    assert charged == (1500, 200, 1500)
    assert (outcome, again) == (Outcome.ANSWERED, Outcome.ANSWERED)
    assert amounts(database, tokens) == (500 + 143, 200, 500)


@dataclass
class Call:
    """One call as the rule has it: held while it is open, charged in full while it is unknown."""

    held: int
    charged: int = 0
    state: str = "open"

    def end(self, state: str, cost: int) -> None:
        if self.state != "settled":
            self.charged, self.state = cost, state

    @property
    def taken(self) -> int:
        return self.held if self.state == "open" else self.charged


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "open", "answered", "failed", "unknown", "dies"]),
        st.integers(0, 40),
        st.integers(0, 9),
    ),
    max_size=40,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_what_is_spent_is_the_sum_of_all_costs_and_nothing_stays_held(
    database: SqlDatabase, steps: list[tuple[str, int, int]]
) -> None:
    tenant = f"t{next(_TENANTS)}"
    tokens = budget(database, 100, tenant=tenant)
    calls: dict[int, Call] = {}
    for what, number, which in [*steps, ("dies", 0, 0)]:
        with database.transaction() as tx:
            if what == "open":
                fits = sum(call.taken for call in calls.values()) + number <= 100
                attempt_id = opened(tx, Hold(tokens, TODAY, number), owner=tenant)
                assert (attempt_id is not None) == fits
                if attempt_id is not None:
                    calls[attempt_id] = Call(number)
            elif what == "dies":
                tx.attempts.abandon_all(tenant, started_before=NOW + DAY, at=NOW)
                for call in calls.values():
                    if call.state == "open":
                        call.end("unknown", call.held)
            elif calls:
                attempt_id, call = sorted(calls.items())[which % len(calls)]
                cost = {"answered": number, "failed": 0, "unknown": call.held}[what]
                answer = an_answer(tokens_in=cost, tokens_out=0) if what == "answered" else None
                tx.attempts.settle(attempt_id, Outcome(what), at=NOW, answer=answer)
                call.end("unknown" if what == "unknown" else "settled", cost)

    unknown = sum(call.charged for call in calls.values() if call.state == "unknown")
    assert amounts(database, tokens) == (
        sum(call.charged for call in calls.values()),
        0,
        unknown,
    )


def test_old_charges_are_pruned_and_what_is_held_is_not(database: SqlDatabase) -> None:
    tokens = budget(database, 10_000)
    with database.transaction() as tx:
        opened(tx, Hold(tokens, TODAY, 1000), owner="dead")
        tx.attempts.abandon_all("dead", started_before=NOW + DAY, at=NOW)
        alive = opened(tx, Hold(tokens, TODAY, 200))
    assert alive is not None

    gone = [
        sum(
            step.gone.rows
            for step in Retention(database=database, clock=FakeClock(NOW + later)).prune()
            if step.kind is Old.RESERVATIONS
        )
        for later in (50 * DAY, 70 * DAY)
    ]
    with database.transaction() as tx:
        tx.attempts.settle(alive, Outcome.FAILED, at=NOW)

    assert gone == [0, 1]
    assert amounts(database, tokens) == (1000, 0, 1000)


@pytest.mark.parametrize(
    ("now", "day", "month", "next_month"),
    [
        ("2026-11-22T23:59:59.999999", "2026-11-22", "2026-11-01", "2026-12-01"),
        ("2026-12-31T00:00:00", "2026-12-31", "2026-12-01", "2027-01-01"),
        ("2028-02-29T12:00:00", "2028-02-29", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_begin_and_end_in_utc(now: str, day: str, month: str, next_month: str) -> None:
    at, *expected = (
        datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (now, day, month, next_month)
    )

    months = Period.MONTH.start(at)
    assert [Period.DAY.start(at), months, Period.MONTH.end(months)] == expected
    assert Period.DAY.end(expected[0]) - expected[0] == DAY


def test_no_prompt_has_more_tokens_than_are_held_for_it() -> None:
    text = "\U0001f600é" * 10

    assert most_tokens_in(a_question(text=text)) >= len(text.encode())
    assert most_tokens_in(a_question(text=text, output_schema="{}")) > most_tokens_in(
        a_question(text=text)
    )


@given(st.decimals(0, 10**6, places=13, allow_nan=False))
def test_dollars_are_counted_exactly_and_never_too_few(cost: Decimal) -> None:
    excess = Decimal(picodollars(cost)) / 10**12 - cost

    assert Decimal(0) <= excess < Decimal(10) ** -12
