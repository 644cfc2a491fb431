"""Who asks how often is counted exactly, by all processes together, on both databases."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from askonce.core.errors import RateLimitedError
from askonce.core.limits import Rate, Subject
from askonce.core.requests import Visit, counted_for
from askonce.core.retention import Kind
from askonce.db.database import SqlDatabase
from askonce.db.money_rows import RateLimitRow
from askonce.services.rate_limits import Admission, RateLimits
from askonce.services.retention import Retention
from tests.fakes.clock import FakeClock

ALICE = counted_for("default", None, "alice")
BOB = counted_for("default", None, "bob")
_TENANTS = count(1)


def admitted(
    limits: RateLimits, database: SqlDatabase, *asking: tuple[Subject, ...]
) -> Sequence[Admission]:
    with database.transaction() as tx:
        return limits.admit(tx, asking)


def outcomes(limits: RateLimits, database: SqlDatabase, *asking: tuple[Subject, ...]) -> list[bool]:
    found = admitted(limits, database, *asking)
    return [not isinstance(one, RateLimitedError) for one in found]


def limited(*rates: str, clock: FakeClock) -> RateLimits:
    return RateLimits([Rate.of(rate) for rate in rates], clock)


@dataclass
class Bucket:
    """The rule in other words: a bucket that fills steadily, and holds `rate.count`."""

    rate: Rate
    level: Fraction = field(init=False)
    at: int = 0

    def __post_init__(self) -> None:
        self.level = Fraction(self.rate.count)

    def fill(self, now: int) -> None:
        poured = Fraction(now - self.at, self.rate.interval)
        self.level = min(Fraction(self.rate.count), self.level + poured)
        self.at = now


RATES = st.builds(Rate, st.integers(1, 7), st.sampled_from(["second", "minute", "hour", "day"]))
BATCHES = st.lists(
    st.tuples(
        # How long after the last one, in hundredths of an interval of the first rate.
        st.integers(0, 350),
        st.lists(
            st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from(["ann", "bob", None])),
            min_size=1,
            max_size=9,
        ),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rates=st.lists(RATES, min_size=1, max_size=2, unique_by=lambda one: one.period), batches=BATCHES
)
def test_any_batch_is_admitted_as_if_one_came_after_the_other(
    database: SqlDatabase,
    rates: list[Rate],
    batches: list[tuple[int, list[tuple[int | None, str | None]]]],
) -> None:
    clock, tenant = FakeClock(), f"t{next(_TENANTS)}"
    # Two processes take turns: nothing that one of them remembers may matter.
    processes = [RateLimits(rates, clock) for _ in range(2)]
    buckets: dict[tuple[Rate, Subject], Bucket] = {}
    elapsed = 0
    for number, (hundredths, askers) in enumerate(batches):
        step = rates[0].interval * hundredths // 100
        elapsed += step
        clock.move(timedelta(microseconds=step))
        asking = [counted_for(tenant, key_id, user_id) for key_id, user_id in askers]
        expected = []
        for subjects in asking:
            filled = [
                buckets.setdefault((rate, one), Bucket(rate)) for rate in rates for one in subjects
            ]
            for bucket in filled:
                bucket.fill(elapsed)
            expected.append(all(bucket.level >= 1 for bucket in filled))
            for bucket in filled:
                bucket.level -= expected[-1]

        assert outcomes(processes[number % 2], database, *asking) == expected


@pytest.mark.parametrize("rate", ["1/second", "7/minute", "120/minute", "3/day"])
def test_after_retry_after_the_same_request_is_admitted_and_not_long_before(
    database: SqlDatabase, rate: str
) -> None:
    clock = FakeClock()
    limits = limited(rate, clock=clock)
    number = Rate.of(rate).count
    clock.move(timedelta(microseconds=123_457))

    *first, refused = admitted(limits, database, *[ALICE] * (number + 1))

    assert not any(isinstance(one, RateLimitedError) for one in first)
    assert isinstance(refused, RateLimitedError)
    clock.advance(refused.retry_after - 1)
    assert outcomes(limits, database, ALICE) == [False]
    clock.advance(1)
    assert limits.refusal(Visit(ALICE)) is None
    assert outcomes(limits, database, ALICE) == [True]


def test_two_processes_share_one_quota(database: SqlDatabase) -> None:
    clock = FakeClock()
    here, elsewhere = (limited("3/minute", clock=clock) for _ in range(2))

    assert outcomes(here, database, ALICE, ALICE) == [True, True]
    assert outcomes(elsewhere, database, ALICE, ALICE) == [True, False]
    assert outcomes(here, database, ALICE) == [False]


def test_a_refused_request_takes_nothing_from_those_who_share_its_key(
    database: SqlDatabase,
) -> None:
    limits = limited("3/minute", clock=FakeClock())
    with_own_key = counted_for("default", 7, "alice")
    assert outcomes(limits, database, *[with_own_key] * 3) == [True] * 3

    # Alice is spent, but who has no key has his whole quota.
    assert outcomes(limits, database, ALICE, ALICE, BOB, BOB, BOB) == [False] * 2 + [True] * 3


def test_one_tenant_takes_nothing_from_another(database: SqlDatabase) -> None:
    limits = limited("1/day", clock=FakeClock())

    assert outcomes(limits, database, ALICE, counted_for("other", None, "alice")) == [True, True]


def test_a_flood_is_refused_from_memory_until_it_may_be_admitted(database: SqlDatabase) -> None:
    clock = FakeClock()
    limits = limited("1/minute", clock=clock)
    assert limits.refusal(Visit(ALICE)) is None

    _, told = admitted(limits, database, ALICE, ALICE)

    remembered = limits.refusal(Visit(ALICE))
    assert isinstance(told, RateLimitedError)
    assert remembered is not None
    assert (remembered.retry_after, list(remembered.quotas)) == (60, list(told.quotas))
    clock.advance(60)
    assert limits.refusal(Visit(ALICE)) is None


def test_what_is_left_is_told(database: SqlDatabase) -> None:
    limits = limited("10/minute", clock=FakeClock())

    *_, quotas = admitted(limits, database, ALICE, ALICE, ALICE)

    assert not isinstance(quotas, RateLimitedError)
    assert [(one.kind, one.remaining, one.seconds) for one in quotas] == [
        ("key", 7, 18),
        ("user", 7, 18),
    ]


def test_rows_of_whole_quotas_are_pruned_and_others_stay(database: SqlDatabase) -> None:
    clock = FakeClock()
    admitted(limited("1/minute", clock=clock), database, *[(one, two) for one, two in [ALICE, BOB]])
    clock.advance(3600)
    admitted(limited("1/day", clock=clock), database, ALICE)
    clock.advance(61)

    gone = sum(
        step.gone.rows
        for step in Retention(database=database, clock=clock).prune()
        if step.kind is Kind.RATE_LIMITS
    )

    assert gone == 3
    with database.reading() as tx:
        statement = select(func.count()).select_from(RateLimitRow)
        assert tx.connection.execute(statement).scalar_one() == 2


@pytest.mark.parametrize(
    "written", ["", "0/minute", "120", "120/week", "-1/day", "1.5/day", "1000001/second", "١/day"]
)
def test_a_rate_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="such as 120/minute"):
        Rate.of(written)
