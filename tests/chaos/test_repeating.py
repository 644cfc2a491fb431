"""The accountant sees an Idempotency-Key that stands for more than one thing."""

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import Evidence, Request
from tests.chaos.forging import analysis, broken, given, purged, removal, request, story

FIRST = given(1, 1, user="u1", key="k")
REPLAY = replace(
    given(2, 1, user="u1", key="k"), headers={"idempotent-replayed": "true"}, body=FIRST.body
)


def repeated(*repeats: Request, **changes: Any) -> Evidence:
    return story(requests=(FIRST, *repeats), **changes)


def again(number: int = 2, **facts: Any) -> Request:
    return request(number, user="u1", key="k", answered=number + 0.1, **facts)


def test_a_replay_is_right() -> None:
    assert broken(repeated(REPLAY)) == []


def test_another_body_for_one_key_is_seen() -> None:
    body = REPLAY.body.replace(", ", ",")

    assert broken(repeated(replace(REPLAY, body=body))) == ["two bodies"]


def test_a_replay_that_is_not_marked_is_seen() -> None:
    assert broken(repeated(replace(REPLAY, headers={}))) == ["two bodies"]


def test_two_rows_for_one_key_are_seen() -> None:
    rows = (analysis(1), analysis(2, user="u1"))

    assert broken(repeated(REPLAY, analyses=rows)) == ["two rows"]


@pytest.mark.parametrize("status", [504, 502, 422, 410])
def test_a_key_that_was_answered_is_not_forgotten(status: int) -> None:
    assert broken(repeated(again(status=status))) == ["unexpected"]


@pytest.mark.parametrize("status", [0, 503])
def test_without_a_database_no_key_is_known(status: int) -> None:
    assert broken(repeated(again(status=status))) == []


def test_a_key_whose_answer_was_deleted_is_gone() -> None:
    gone = {"answers": (), "analyses": (), "flights": (purged(),), "removals": (removal(sent=1.6),)}

    assert broken(repeated(again(status=410), **gone)) == []
    assert broken(repeated(REPLAY, **gone)) == ["back from the dead"]


def test_a_key_that_is_gone_before_it_gave_anything_is_seen() -> None:
    assert broken(story(requests=(given(1), again(status=410)))) == ["unexpected"]


def test_a_key_may_not_be_taken_for_another_request() -> None:
    topics = {b"it": "What is it?", b"else": "What else?"}

    def other(status: int) -> Evidence:
        return repeated(again(text="What else?", status=status), topics=topics)

    assert broken(other(422)) == []
    assert broken(other(504)) == ["mismatch"]


def test_a_key_that_gave_nothing_may_come_with_another_request() -> None:
    failed = request(0, user="u1", key="k", status=503, answered=0.1, text="What else?")

    assert broken(story(requests=(failed, FIRST))) == []
