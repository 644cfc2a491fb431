"""The accountant sees answers that should not have stood."""

from dataclasses import replace

from tests.chaos.evidence import Evidence
from tests.chaos.forging import (
    ANN,
    BOB,
    analysis,
    answer,
    attempt,
    bought_twice,
    broken,
    call,
    flight,
    given,
    said,
    story,
    taken_over,
)


def late_answer(outcome: str, **changes: object) -> Evidence:
    """Return a run in which a leader wakes after it was taken over, and brings its answer."""
    frozen = replace(ANN, freezes=((1.3, 6.0),))
    told = taken_over(
        replicas=(frozen, BOB),
        requests=(
            given(1, 2, call=1, answered=6.5),
            given(4, 1, call=2, replica="bob", sent=2.0, answered=5.0),
        ),
        attempts=(
            attempt(1, outcome=outcome, answer_id=2, finished=6.2),
            attempt(2, owner="b", fence=2, started=4.1, answer_id=1),
        ),
        answers=(answer(1, result=said(2)), answer(2, result=said(1))),
        analyses=(analysis(1, user="u4"), analysis(2, user="u1", answer_id=2)),
    )
    return replace(told, **changes)  # type: ignore[arg-type]


def test_a_second_answer_in_an_epoch_is_seen() -> None:
    assert "two answers" in broken(late_answer("answered"))


def test_a_duplicate_that_is_served_is_seen() -> None:
    assert "two answers" in broken(late_answer("duplicate"))


def test_a_late_answer_in_an_epoch_that_is_over_is_right() -> None:
    told = late_answer("answered")
    afresh = given(5, 3, call=3, replica="bob", rules="no-cache")
    over = replace(
        told,
        requests=(*told.requests, afresh),
        calls=(*told.calls, call(3, replica="bob", began=5.2)),
        attempts=(*told.attempts, attempt(3, owner="b", epoch=2, fence=3, started=5.1)),
        answers=(*told.answers, answer(3)),
        analyses=(*told.analyses, analysis(3, user="u5", answer_id=3)),
        flights=(flight(epoch=2, fence=3, owner="b", answer_id=3),),
    )

    assert broken(over) == []


def test_an_entry_of_another_epoch_is_seen() -> None:
    entry = flight(epoch=2, fence=2, answer_id=1)

    assert "wrong entry" in broken(bought_twice(flights=(entry,)))


def test_an_entry_that_was_bought_for_another_question_is_seen() -> None:
    assert "wrong entry" in broken(story(flights=(flight(answer_id=7),)))


def test_an_entry_without_an_answer_is_seen() -> None:
    assert broken(story(flights=(flight(answer_id=None),))) == ["wrong entry"]
