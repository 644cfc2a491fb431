"""The accountant sees what comes back after it was deleted."""

from dataclasses import replace

from tests.chaos.evidence import Evidence
from tests.chaos.forging import analysis, answer, broken, given, purged, removal, request, story


def deleted(**changes: object) -> Evidence:
    """Return a run in which the one answer was given to two users, and deleted by both."""
    told = story(
        requests=(given(1, 1), given(2, 2, cached=True)),
        removals=(removal(1, sent=3), removal(2, sent=4)),
        answers=(),
        analyses=(),
        flights=(purged(),),
    )
    return replace(told, **changes)  # type: ignore[arg-type]


def test_what_was_deleted_and_is_gone_is_right() -> None:
    assert broken(deleted()) == []


def test_an_answer_that_is_given_after_its_last_deletion_is_back_from_the_dead() -> None:
    risen = given(5, 3, cached=True)

    found = broken(
        deleted(
            requests=(given(1, 1), given(2, 2, cached=True), risen),
            removals=(removal(1, sent=3), removal(2, sent=4), removal(3, sent=6)),
        )
    )

    assert found == ["back from the dead"]


def test_an_answer_that_somebody_else_still_has_may_be_given() -> None:
    told = deleted(
        requests=(given(1, 1), given(2, 2, cached=True), given(3.5, 3, user="u3", cached=True)),  # type: ignore[arg-type]
        removals=(removal(1, sent=3), removal(2, sent=4), removal(3, sent=6)),
    )

    assert broken(told) == []


def test_a_row_that_a_client_does_not_know_of_keeps_an_answer_alive() -> None:
    told = deleted(
        requests=(given(1, 1), given(2, 2, cached=True), request(3), given(5, 4, cached=True)),
        removals=(removal(1, sent=3), removal(2, sent=4), removal(4, sent=6)),
        answers=(answer(),),
        analyses=(analysis(3, user="u3", cached=True),),
        flights=story().flights,
    )

    assert broken(told) == []


def test_a_deleted_row_that_is_still_there_is_seen() -> None:
    found = broken(story(removals=(removal(1, sent=3),)))

    assert found == ["left behind"]


def test_an_answer_that_no_row_uses_is_seen() -> None:
    assert broken(deleted(answers=(answer(),))) == ["left behind", "purged"]
