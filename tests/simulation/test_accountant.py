"""The accountant sees each kind of broken promise in a history, and none where there is none."""

import pytest

from tests.simulation.accountant import violations
from tests.simulation.history import (
    AnswersChanged,
    Asked,
    CallBegan,
    CallEnded,
    CameBack,
    Died,
    Event,
    FlightChanged,
    FlightSeen,
    Given,
    History,
    Intent,
    Left,
    Refused,
    RemovalAsked,
)

FIRST = Intent(id=1, epoch=1, fence=1, owner="one")
SECOND = Intent(id=2, epoch=1, fence=2, owner="two")


def row(
    at: float,
    *,
    epoch: int = 1,
    fence: int = 1,
    beat: int = 0,
    state: str = "running",
    owner: str = "one",
    answer_id: int | None = None,
) -> FlightChanged:
    return FlightChanged(at, 0, FlightSeen(epoch, fence, beat, state, owner, 0, answer_id))


def asked(at: float = 0.0) -> Asked:
    return Asked(at, request=1, process="one", question=0, rules="")


def given(at: float, text: str = "0: answer", way: str = "miss") -> Given:
    return Given(at, request=1, question=0, way=way, analysis_id=7, text=text)


def began(at: float, intent: Intent | None = FIRST, call: int = 1) -> CallBegan:
    process = intent.owner if intent else "one"
    return CallBegan(at, call=call, process=process, question=0, intent=intent)


def told(*events: Event, **at_the_end: object) -> list[str]:
    """Return the first words of what the accountant says of a history."""
    history = History(events=list(events), outcomes={1: "answered", 2: "duplicate"})
    for name, value in at_the_end.items():
        setattr(history, name, value)
    return [violation.partition(":")[0] for violation in violations(history)]


PAID_ONCE = (
    asked(),
    row(0.1),
    began(0.2),
    CallEnded(0.3, call=1, reason=None),
    row(0.4, state="done", answer_id=5),
    AnswersChanged(0.4, {5: "0: answer"}),
    given(0.5),
)
# The leader's last sign of life, and its replacement after a lease and a grace.
TAKEN_OVER = (row(0.1), began(0.2), row(2.0, fence=2, owner="two"), began(2.1, SECOND, call=2))


def test_an_answer_that_was_paid_and_kept_is_in_order() -> None:
    assert told(*PAID_ONCE, analyses={7: "0: answer"}, bought={5: FIRST}) == []


def test_an_answer_without_its_row_is_lost() -> None:
    assert told(*PAID_ONCE, analyses={}) == ["lost"]


def test_a_row_that_its_user_deleted_is_not_lost() -> None:
    assert told(*PAID_ONCE, RemovalAsked(0.6, analysis_id=7), analyses={}) == []


def test_a_row_with_another_text_was_changed() -> None:
    assert told(*PAID_ONCE, analyses={7: "0: another"}) == ["changed"]


def test_another_questions_answer_was_mixed_up() -> None:
    assert told(asked(), given(0.5, "1: answer"), analyses={7: "1: answer"}) == ["mixed up"]


def test_a_hit_on_what_is_not_the_entry_is_stale() -> None:
    history = (
        AnswersChanged(0.0, {4: "0: old", 5: "0: answer"}),
        row(0.0, state="done", answer_id=5),
        asked(0.4),
    )

    assert told(*history, given(0.5, "0: old", "hit"), analyses={7: "0: old"}) == ["stale"]
    assert told(*history, given(0.5, way="hit"), analyses={7: "0: answer"}) == []


@pytest.mark.parametrize(
    "change", [row(2.0, state="done", answer_id=6), row(2.0, state="running", answer_id=5)]
)
def test_an_epoch_has_one_answer(change: Event) -> None:
    assert "two answers" in told(row(1.0, state="done", answer_id=5), change)


@pytest.mark.parametrize("change", [row(2.0, epoch=1, fence=3), row(2.0, epoch=2, fence=1)])
def test_epoch_and_fence_never_go_back(change: Event) -> None:
    assert "back" in told(row(1.0, epoch=2, fence=2), change)


def test_each_acquisition_has_a_fence_of_its_own() -> None:
    assert told(row(1.0, state="failed"), row(2.0, epoch=2), running=[]) == ["not fenced"]


def test_one_takeover_is_enough() -> None:
    once = (row(1.0), row(2.0, fence=2, owner="two"))

    assert told(*once) == []
    assert told(*once, row(3.0, fence=3, owner="three")) == ["taken over too often"]


@pytest.mark.parametrize("intent", [None, Intent(id=1, epoch=1, fence=1, owner="another")])
def test_a_call_needs_an_intent_of_its_process(intent: Intent | None) -> None:
    call = CallBegan(0.2, call=1, process="one", question=0, intent=intent)

    assert "unjournalled" in told(row(0.1), call)


def test_each_call_needs_an_intent_of_its_own() -> None:
    retried = (began(0.2), CallEnded(0.3, call=1, reason="http-503"), began(0.4, call=2))

    assert told(row(0.1), *retried) == ["unjournalled"]


@pytest.mark.parametrize("outcome", ["open", "unknown"])
def test_an_answer_of_a_living_process_is_not_forgotten(outcome: str) -> None:
    answered = (row(0.1), began(0.2), CallEnded(0.3, call=1, reason=None))

    assert told(*answered, outcomes={1: outcome}) == ["forgotten"]
    assert told(*answered, Died(0.4, "one"), outcomes={1: outcome}) == []


def test_a_living_leader_is_not_replaced_while_it_calls() -> None:
    assert told(*TAKEN_OVER) == ["paid twice"]


@pytest.mark.parametrize("why", ["frozen", "cut off"])
def test_a_leader_that_was_away_for_more_than_a_beat_may_be_replaced(why: str) -> None:
    away = (Left(0.3, "one", why), CameBack(0.7, "one", why))
    blinked = (Left(0.3, "one", why), CameBack(0.4, "one", why))

    assert told(*away, *TAKEN_OVER) == []
    assert told(*blinked, *TAKEN_OVER) == ["paid twice"]


def test_a_dead_leader_may_be_replaced() -> None:
    assert told(*TAKEN_OVER[:2], Died(0.3, "one"), *TAKEN_OVER[2:]) == []


def test_a_leader_that_woke_too_late_may_call_beside_its_successor() -> None:
    late = (row(0.1), Left(0.2, "one", "frozen"), row(2.0, fence=2, owner="two"))

    assert told(*late, began(2.1, SECOND), CameBack(2.2, "one", "frozen"), began(2.3, call=2)) == []


@pytest.mark.parametrize("state", ["done", "purged"])
def test_a_question_may_be_asked_anew_when_its_epoch_is_over(state: str) -> None:
    new = Intent(id=2, epoch=3, fence=3, owner="two")
    epoch = 1 if state == "done" else 2
    over = row(0.3, epoch=epoch, fence=2, state=state)

    history = (row(0.1), began(0.2), over, row(0.4, epoch=3, fence=3, owner="two"))

    assert told(*history, began(0.5, new, call=2)) == []


def test_calls_outside_the_cache_never_collide() -> None:
    apart = Intent(id=2, epoch=0, fence=0, owner="two")

    assert told(row(0.1), began(0.2), began(0.3, apart, call=2)) == []


def test_what_was_deleted_is_not_stored_again() -> None:
    deleted = (AnswersChanged(1.0, {5: "0: answer"}), AnswersChanged(2.0, {}))

    assert told(*deleted, AnswersChanged(3.0, {6: "0: answer"})) == ["back from the dead"]


def test_what_was_deleted_is_not_given_to_those_who_ask_afterwards() -> None:
    deleted = (AnswersChanged(1.0, {5: "0: answer"}), AnswersChanged(2.0, {}))
    kept = {7: "0: answer"}

    assert told(*deleted, asked(3.0), given(4.0), analyses=kept) == ["back from the dead"]
    assert told(*deleted, asked(1.5), given(4.0), analyses=kept) == []


def test_what_was_being_bought_at_a_deletion_is_not_cached() -> None:
    history = (
        row(0.1, state="purged"),
        row(0.2, epoch=2, fence=2),
        began(0.3, Intent(id=1, epoch=2, fence=2, owner="one")),
        row(0.4, epoch=2, fence=3, state="purged"),
        row(0.5, epoch=2, fence=3, state="done", answer_id=5),
    )

    bought = {5: Intent(id=1, epoch=2, fence=2, owner="one")}

    assert told(*history, bought=bought) == ["purged, but cached"]


def test_an_answer_is_cached_only_in_the_epoch_that_it_was_bought_for() -> None:
    history = (
        row(0.1),
        began(0.2),
        row(0.3, state="failed"),
        row(0.4, epoch=2, fence=2, state="done", answer_id=5),
    )

    assert told(*history, bought={5: FIRST}) == ["cached in epoch 2"]


def test_the_books_say_what_the_tables_say() -> None:
    assert told(misbooked=["spent: (2, 0)"]) == ["misbooked"]


@pytest.mark.parametrize("end", ["stuck", "unanswerable", "running"])
def test_what_never_ends_is_stuck(end: str) -> None:
    assert told(**{end: [1]}) == ["stuck"]


def test_only_our_own_errors_are_expected() -> None:
    assert told(asked(), Refused(1.0, 1, 0, AssertionError())) == ["unexpected"]
