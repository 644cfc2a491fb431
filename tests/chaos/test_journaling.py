"""The accountant sees calls that nobody wrote down before, and attempts that nobody settled."""

import pytest

from tests.chaos.evidence import NO_STORE, Call, Replica
from tests.chaos.forging import (
    BOB,
    answer,
    attempt,
    bought_twice,
    broken,
    call,
    given,
    request,
    story,
    taken_over,
)
from tests.chaos.journaling import matched


@pytest.mark.parametrize(
    "unwritten",
    [
        call(1, began=1.0),
        call(1, began=1.5),
        call(1, replica="bob"),
        call(1, provider="claude"),
    ],
    ids=["before its attempt", "after its attempt", "of another replica", "of another provider"],
)
def test_a_call_needs_an_attempt_that_was_open_when_it_came(unwritten: Call) -> None:
    assert broken(story(calls=(unwritten,), answers=(answer(),)))[-1] == "unjournaled"


def test_two_calls_do_not_share_an_attempt() -> None:
    assert broken(story(calls=(call(1), call(2, began=1.25)))) == ["unjournaled"]


def test_an_attempt_without_a_call_is_right() -> None:
    failed = attempt(1, outcome="failed", started=1.1, finished=1.2)
    told = story(
        attempts=(failed, attempt(2, started=1.3, answer_id=1)), calls=(call(1, began=1.4),)
    )

    assert broken(told) == []


def test_a_kept_answer_tells_which_call_made_it() -> None:
    one, other = (attempt(id_, started=1.0, finished=3.0) for id_ in (1, 2))
    calls = (call(1, began=2.0), call(2, began=1.5))

    journal = matched(bought_twice(attempts=(one, other), calls=calls))

    assert {number: found.id for number, found in journal.attempts.items()} == {1: 1, 2: 2}


def test_a_frozen_leader_may_call_after_others_have_settled_its_attempt() -> None:
    assert broken(taken_over(calls=(call(1, began=4.5), call(2, replica="bob", began=4.2)))) == [
        "paid twice"
    ]


def test_an_attempt_that_a_living_replica_left_open_is_seen() -> None:
    is_open = attempt(2, epoch=0, fence=0, outcome="open", started=2.2, finished=None)
    asked = (given(1), request(2, rules=NO_STORE))

    assert broken(story(attempts=(attempt(), is_open), requests=asked)) == ["left open"]


def test_an_attempt_that_a_killed_replica_left_open_is_right() -> None:
    killed = Replica(name="ann", owner="a", killed=5.0)
    is_open = attempt(2, epoch=0, fence=0, outcome="open", started=2.2, finished=None)
    asked = (given(1), request(2, rules=NO_STORE))
    told = story(attempts=(attempt(), is_open), requests=asked, replicas=(killed, BOB))

    assert broken(told) == []


def test_of_two_calls_at_one_time_the_one_that_failed_gets_the_attempt_that_failed() -> None:
    failed = attempt(1, outcome="unknown", reason="cut", started=1.0, finished=3.0)
    bought = attempt(2, started=1.0, finished=2.0)
    calls = (call(1, mode="cut", began=1.5), call(2, began=1.6))
    told = story(attempts=(failed, bought), calls=calls, answers=(), requests=())

    journal = matched(told)

    assert {number: found.id for number, found in journal.attempts.items()} == {1: 1, 2: 2}
