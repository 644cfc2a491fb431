"""The accountant sees every way to pay twice, and what may explain it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import NO_CACHE, NO_STORE, Evidence, Replica
from tests.chaos.forging import (
    ANN,
    BOB,
    TOPIC,
    analysis,
    answer,
    attempt,
    bought_twice,
    broken,
    call,
    flight,
    given,
    purged,
    removal,
    request,
    story,
    taken_over,
)


def ann(**fate: Any) -> tuple[Replica, Replica]:
    return replace(ANN, **fate), BOB


def test_a_living_leader_may_not_be_taken_over() -> None:
    assert broken(taken_over()) == ["paid twice"]


def test_a_killed_leader_may_be_taken_over() -> None:
    assert broken(taken_over(replicas=ann(killed=3.0))) == []


def test_a_leader_that_was_killed_afterwards_may_not_be_taken_over() -> None:
    assert broken(taken_over(replicas=ann(killed=4.2))) == ["paid twice"]


def test_a_leader_that_was_frozen_for_the_whole_wait_may_be_taken_over() -> None:
    assert broken(taken_over(replicas=ann(freezes=((2.5, 9.0),)))) == []


@pytest.mark.parametrize("freeze", [(3.8, 9.0), (1.0, 3.0), (4.1, 9.0)])
def test_a_leader_that_could_still_beat_may_not_be_taken_over(freeze: tuple[float, float]) -> None:
    assert broken(taken_over(replicas=ann(freezes=(freeze,)))) == ["paid twice"]


def test_a_leader_that_could_not_write_and_then_was_frozen_may_be_taken_over() -> None:
    frozen = ann(freezes=((3.55, 4.3),))

    assert broken(taken_over(replicas=frozen, outages=((2.5, 3.6),))) == []
    assert broken(taken_over(replicas=frozen, outages=((3.3, 3.6),))) == ["paid twice"]
    assert broken(taken_over(outages=((2.5, 4.2),))) == ["paid twice"]


def test_a_leader_that_gave_up_and_could_not_say_so_may_be_taken_over() -> None:
    failed = attempt(1, outcome="failed", finished=2.0)
    bought = attempt(2, owner="b", fence=2, started=4.1, answer_id=1)

    assert broken(taken_over(attempts=(failed, bought))) == []
    assert broken(taken_over(attempts=(replace(failed, finished=3.5), bought))) == ["paid twice"]


def test_a_question_is_taken_over_once() -> None:
    told = taken_over(
        replicas=(
            replace(ANN, killed=3.0),
            replace(BOB, killed=4.3),
            Replica(name="cy", owner="c"),
        ),
        requests=(
            request(1),
            request(2, replica="bob"),
            given(4, 1, call=3, replica="cy", sent=3.0, answered=6.0),
        ),
        attempts=(
            attempt(1, outcome="unknown", reason="process died", finished=4.1),
            attempt(2, owner="b", fence=2, outcome="unknown", started=4.1, finished=5.1),
            attempt(3, owner="c", fence=3, started=5.1, answer_id=1),
        ),
        calls=(call(1), call(2, replica="bob", began=4.2), call(3, replica="cy", began=5.2)),
        answers=(answer(1, result=given(call=3).json["result"]),),
        flights=(flight(fence=3, owner="c"),),
    )

    assert broken(told) == ["paid twice"]


def test_two_replicas_never_have_one_lease() -> None:
    both = (attempt(1), attempt(2, owner="b", outcome="duplicate", started=1.5))
    asked = (given(1), request(2, replica="bob", sent=1.2))

    assert "two owners" in broken(story(attempts=both, requests=asked))


def test_a_question_may_not_be_claimed_while_its_entry_stands() -> None:
    assert broken(bought_twice()) == ["paid twice"]


def test_a_request_with_no_cache_may_claim_it() -> None:
    fresh = given(2, 2, call=2, rules=NO_CACHE, headers={"cache-status": "askonce; fwd=request"})

    assert broken(bought_twice(requests=(given(1, 1), fresh))) == []


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"replica": "bob"},
        {"sent": 2.3},
        {"sent": 1.2, "answered": 1.9},
        {"headers": {"cache-status": "askonce; fwd=uri-miss; collapsed"}},
    ],
    ids=["at another replica", "later", "answered before", "it joined a flight"],
)
def test_a_request_with_no_cache_that_cannot_have_claimed_it_explains_nothing(
    elsewhere: dict[str, Any],
) -> None:
    fresh = given(3, 3, call=2, rules=NO_CACHE, **{"sent": 1.9, **elsewhere})
    rows = (analysis(1), analysis(2, answer_id=2), analysis(3, answer_id=2))

    told = bought_twice(requests=(given(1, 1), given(2, 2, call=2), fresh), analyses=rows)

    assert broken(told) == ["paid twice"]


def test_one_request_with_no_cache_claims_once() -> None:
    fresh = given(2, 2, call=3, rules=NO_CACHE, answered=4.0)
    told = bought_twice(
        requests=(given(1, 1), fresh, request(3, sent=2.5)),
        calls=(call(1), call(2), call(3)),
        attempts=(
            attempt(1),
            attempt(2, epoch=2, fence=2),
            attempt(3, epoch=3, fence=3, answer_id=3),
        ),
        answers=(answer(1), answer(2), answer(3)),
        analyses=(analysis(1), analysis(3, answer_id=2), analysis(2, answer_id=3)),
        flights=(flight(epoch=3, fence=3, answer_id=3),),
    )

    assert broken(told) == ["paid twice"]


@pytest.mark.parametrize("outcome", ["failed", "unknown", "invalid"])
def test_a_question_that_failed_may_be_claimed_anew(outcome: str) -> None:
    told = bought_twice(
        requests=(request(1, status=504, answered=1.5), given(2, 2, call=2)),
        attempts=(attempt(1, outcome=outcome), attempt(2, epoch=2, fence=2, answer_id=2)),
        answers=(answer(2),),
        analyses=(analysis(2, answer_id=2),),
    )

    assert broken(told) == []


def test_a_question_whose_leader_still_calls_may_not_be_claimed() -> None:
    told = bought_twice(
        attempts=(
            attempt(1, outcome="failed", finished=2.2),
            attempt(2, epoch=2, fence=2, answer_id=2),
        ),
        requests=(request(1), given(2, 2, call=2)),
        answers=(answer(2),),
        analyses=(analysis(2, answer_id=2),),
    )

    assert broken(told) == ["paid twice"]


def test_an_answer_that_is_not_worth_keeping_may_be_asked_for_again() -> None:
    assert broken(bought_twice(calls=(call(1, mode="length"), call(2)))) == []


def deleted_between(*removals: Any, **changes: Any) -> Evidence:
    """Return a run in which the answer was deleted before it was bought anew."""
    told = bought_twice(
        attempts=(attempt(1), attempt(2, epoch=3, fence=3)),
        answers=(answer(2),),
        analyses=(analysis(2, answer_id=2),),
        flights=(flight(epoch=3, fence=3, answer_id=2),),
        removals=removals,
    )
    return replace(told, **changes)


def test_what_was_deleted_may_be_asked_for_again() -> None:
    assert broken(deleted_between(removal(1, sent=1.7))) == []
    assert broken(deleted_between(removal(1, sent=1.7, status=503))) == []


def test_a_purge_that_nobody_asked_for_is_seen() -> None:
    assert "paid twice" in broken(deleted_between())
    assert "paid twice" in broken(deleted_between(removal(1, sent=2.3)))


def test_an_answer_that_somebody_still_has_was_not_purged() -> None:
    told = deleted_between(
        removal(1, sent=1.7),
        requests=(given(1, 1), given(2, 2, call=2), given(3, 3, call=1, sent=1.55, answered=1.6)),
        answers=(answer(1), answer(2)),
        analyses=(analysis(2, answer_id=2), analysis(3, answer_id=1)),
    )

    assert "paid twice" in broken(told)


def test_a_question_that_is_purged_without_a_deletion_is_seen() -> None:
    assert "purged" in broken(story(flights=(purged(),)))


@pytest.mark.parametrize(
    "told",
    [
        story(attempts=(attempt(1, epoch=2, fence=2),), flights=(flight(epoch=2, fence=2),)),
        story(flights=(flight(epoch=2, fence=2),)),
        bought_twice(attempts=(attempt(1), attempt(2, epoch=4, fence=4))),
    ],
    ids=["at the beginning", "at the end", "in between"],
)
def test_an_acquisition_without_an_attempt_is_seen(told: Evidence) -> None:
    assert "acquired without an attempt" in broken(told)


def test_a_call_that_nobody_asked_for_is_seen() -> None:
    assert broken(story(requests=(given(1, replica="bob"),))) == ["unasked"]
    assert broken(story(requests=(given(1, sent=1.15),))) == ["unasked"]


def tried(*outcomes: str) -> Evidence:
    """Return a run in which one lease made tries that ended so, and then one that succeeded."""
    tries = [
        attempt(n, outcome=outcome, started=1 + n / 10, finished=1.05 + n / 10)
        for n, outcome in enumerate(outcomes)
    ]
    return story(
        attempts=(*tries, attempt(9, started=1.5, answer_id=1)),
        requests=(given(1, sent=0.9, answered=2.5),),
        calls=(call(1, began=1.51),),
    )


def test_a_try_follows_only_one_that_failed() -> None:
    told = tried("failed")
    first, last = told.attempts

    assert broken(told) == []
    assert broken(replace(told, attempts=(replace(first, finished=1.6), last))) == ["paid twice"]


def test_there_are_no_more_tries_than_allowed() -> None:
    assert broken(tried("failed", "failed")) == []
    assert broken(tried("failed", "failed", "failed")) == ["paid twice"]


def test_what_may_have_been_paid_is_tried_once_more() -> None:
    assert broken(tried("failed", "unknown")) == []
    assert broken(tried("unknown", "failed")) == ["paid twice"]


def test_no_try_is_made_under_an_old_fence() -> None:
    told = taken_over(replicas=ann(killed=3.0))
    late = attempt(3, outcome="failed", started=4.6)

    assert broken(replace(told, attempts=(*told.attempts, late))) == ["paid twice"]


def test_each_request_outside_the_cache_buys_one_answer() -> None:
    alone = [attempt(n, epoch=0, fence=0, started=n + 0.1) for n in (1, 2)]
    one, other = given(1, 1, rules=NO_STORE, answered=4.0), given(2, 2, call=2, rules=NO_STORE)
    told = bought_twice(requests=(one, other), attempts=tuple(alone), flights=())

    assert broken(told) == []
    assert broken(replace(told, requests=(one, replace(other, rules="")))) == ["paid twice"]


def test_a_key_outside_the_cache_buys_one_answer() -> None:
    apart = [given(n, n, call=n, user="u1", key="k", rules=NO_STORE) for n in (1, 2)]
    told = bought_twice(
        private={TOPIC: "k"},
        requests=tuple(apart),
        analyses=(analysis(1), analysis(2, user="u1", answer_id=2)),
    )

    assert broken(told) == ["paid twice", "two bodies", "two rows"]
