"""The accountant sees what was lost, changed, mixed up or never asked for."""

import pytest

from tests.chaos.evidence import Evidence
from tests.chaos.forging import (
    analysis,
    answer,
    broken,
    call,
    given,
    purged,
    removal,
    request,
    said,
    story,
)

GONE = {"analyses": (), "answers": (), "flights": (purged(),)}


def test_nothing_is_wrong_with_a_run_in_which_all_went_well() -> None:
    assert broken(story()) == []


def test_an_answer_that_is_not_in_the_history_is_lost() -> None:
    assert "lost" in broken(story(**GONE))


@pytest.mark.parametrize("status", [204, 0, 503])
def test_what_a_client_may_have_deleted_is_not_lost(status: int) -> None:
    assert broken(story(**GONE, removals=(removal(sent=3, status=status),))) == []


def test_a_deletion_that_does_not_find_what_was_given_shows_that_it_is_lost() -> None:
    assert broken(story(removals=(removal(sent=3, status=404),))) == ["lost"]


def test_a_second_deletion_may_find_nothing() -> None:
    deletions = (removal(sent=3), removal(sent=4, status=404))

    assert broken(story(**GONE, removals=deletions)) == []


@pytest.mark.parametrize(
    "changed",
    [
        story(requests=(given(cached=True),)),
        story(analyses=(analysis(user="u1", answer_id=2),), answers=(answer(1), answer(2))),
        story(requests=(given(), request(2)), analyses=(analysis(user="u2"),)),
    ],
    ids=["cached", "result", "user"],
)
def test_a_history_row_that_is_not_what_was_given_was_changed(changed: Evidence) -> None:
    assert "changed" in broken(changed)


def test_a_row_of_a_user_who_never_asked_is_seen() -> None:
    rows = (analysis(1), analysis(2, user="nobody"))

    assert broken(story(analyses=rows)) == ["unasked row"]


def test_a_second_row_for_one_request_is_seen() -> None:
    rows = (analysis(1), analysis(2, user="u1"))

    assert broken(story(analyses=rows)) == ["unasked row"]


def test_a_row_of_a_request_that_was_never_answered_is_right() -> None:
    rows = (analysis(1), analysis(2, cached=True))

    assert broken(story(requests=(given(), request(2)), analyses=rows)) == []


def test_an_answer_to_another_question_is_mixed_up() -> None:
    other = said(1, "What else?")
    mixed_up = story(
        requests=(given(result=other),),
        answers=(answer(result=other),),
    )

    assert broken(mixed_up) == ["mixed up"]


def test_an_answer_under_another_questions_key_is_mixed_up() -> None:
    keys = {b"it": "What is it?", b"else": "What else?"}

    assert "mixed up" in broken(story(topics=keys, answers=(answer(fingerprint=b"else"),)))


def test_a_stream_that_says_something_else_than_its_answer_is_seen() -> None:
    streamed = given(is_streamed=True, deltas=said(2))

    assert broken(story(requests=(streamed,))) == ["wrong deltas"]


def test_a_stream_that_says_its_answer_is_right() -> None:
    assert broken(story(requests=(given(is_streamed=True, deltas=said(1)),))) == []


@pytest.mark.parametrize("status", [500, 404, 410, 422])
def test_an_error_that_no_fault_explains_is_seen(status: int) -> None:
    failed = request(2, status=status, answered=2.5)

    assert broken(story(requests=(given(), failed))) == ["unexpected"]


@pytest.mark.parametrize("status", [502, 503, 504])
def test_errors_that_faults_bring_are_right(status: int) -> None:
    failed = request(2, status=status, answered=2.5)

    assert broken(story(requests=(given(), failed))) == []


def test_what_the_database_and_the_last_questions_complain_about_is_told() -> None:
    assert broken(story(damage=("integrity_check: page 3",))) == ["damage"]
    assert broken(story(stuck=("ann does not answer",))) == ["stuck"]


def test_a_call_that_is_journaled_has_an_attempt_of_its_own() -> None:
    assert broken(story(calls=(call(1), call(2, began=1.25)))) == ["unjournaled"]
