"""Checks a history afterwards against what the product promises."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar

from askonce.core.flights import MAX_TAKEOVERS
from tests.simulation.calls import overlapping_calls
from tests.simulation.history import (
    AnswersChanged,
    Asked,
    CallBegan,
    CallEnded,
    Died,
    Event,
    FlightChanged,
    FlightSeen,
    Given,
    History,
    Refused,
    RemovalAsked,
)

E = TypeVar("E", bound=Event)


def violations(history: History) -> list[str]:
    """Return every broken promise, in words."""
    return [
        *_lost_or_changed(history),
        *_of_other_questions(history),
        *_not_the_entry(history),
        *_two_answers_in_an_epoch(history),
        *_going_back(history),
        *_taken_over_too_often(history),
        *_unjournalled_calls(history),
        *_forgotten_answers(history),
        *overlapping_calls(history),
        *_back_from_the_dead(history),
        *_cached_after_deletion(history),
        *_never_ending(history),
        *_unexpected_errors(history),
        *(f"misbooked: {what}" for what in history.misbooked),
    ]


def _lost_or_changed(history: History) -> Iterator[str]:
    """A 200 means that its row is durable, and nothing but a deletion removes it."""
    removed = {event.analysis_id for event in history.events if isinstance(event, RemovalAsked)}
    for given in _all(history, Given):
        kept = history.analyses.get(given.analysis_id)
        if kept is None and given.analysis_id not in removed:
            yield f"lost: analysis {given.analysis_id} of request {given.request}"
        if kept is not None and kept != given.text:
            yield f"changed: analysis {given.analysis_id} was {given.text!r}, is {kept!r}"


def _of_other_questions(history: History) -> Iterator[str]:
    for given in _all(history, Given):
        if not given.text.startswith(f"{given.question}:"):
            yield f"mixed up: request {given.request} got {given.text!r}"


def _not_the_entry(history: History) -> Iterator[str]:
    """A hit is what the cache held at some moment between the request and its answer."""
    asked = {event.request: event.at for event in _all(history, Asked)}
    texts: dict[int, str] = {}
    for kept in _all(history, AnswersChanged):
        texts |= kept.texts
    for given in _all(history, Given):
        if given.way != "hit":
            continue
        entries: set[str | None] = set()
        for change in _all(history, FlightChanged):
            if change.question == given.question and change.at <= given.at:
                entry = texts.get(change.row.answer_id or 0) if change.row else None
                entries = entries | {entry} if change.at >= asked[given.request] else {entry}
        if given.text not in entries:
            yield f"stale: request {given.request} got {given.text!r}, which was not the entry"


def _two_answers_in_an_epoch(history: History) -> Iterator[str]:
    """The first answer of an epoch stands."""
    standing: dict[tuple[int, int], int | None] = {}
    for change in _all(history, FlightChanged):
        row = change.row
        if row is None:
            continue
        key = (change.question, row.epoch)
        if key in standing and (row.state != "done" or row.answer_id != standing[key]):
            yield (
                f"two answers: question {change.question}, epoch {row.epoch}:"
                f" answer {standing[key]}, then {row.state} with {row.answer_id}"
            )
        if row.state == "done":
            standing[key] = row.answer_id


def _going_back(history: History) -> Iterator[str]:
    """Epoch and fence only grow, and the fence grows with each acquisition."""
    for question, before, after in _steps(history):
        if after is None:
            continue
        if after.epoch < before.epoch or after.fence < before.fence:
            yield f"back: question {question} from {before} to {after}"
        is_acquired = after.state == "running" and (
            after.owner != before.owner or after.epoch != before.epoch
        )
        if is_acquired and after.fence <= before.fence:
            yield f"not fenced: question {question} from {before} to {after}"


def _taken_over_too_often(history: History) -> Iterator[str]:
    """An input that kills its worker each time is not bought for ever."""
    takeovers: dict[tuple[int, int], int] = {}
    for question, before, after in _steps(history):
        if after is None or after.epoch != before.epoch or after.state != "running":
            continue
        if (after.owner, after.fence) != (before.owner, before.fence):
            key = (question, after.epoch)
            takeovers[key] = takeovers.get(key, 0) + 1
            if takeovers[key] > MAX_TAKEOVERS:
                yield f"taken over too often: question {question}, epoch {after.epoch}"


def _unjournalled_calls(history: History) -> Iterator[str]:
    """Every call has an attempt of its own, written before it."""
    used: set[int] = set()
    for call in _all(history, CallBegan):
        if call.intent is None or call.intent.id in used or call.intent.owner != call.process:
            yield f"unjournalled: call {call.call} of {call.process} with {call.intent}"
        else:
            used.add(call.intent.id)


def _forgotten_answers(history: History) -> Iterator[str]:
    """What a living process was given by a provider is booked in the end, whatever came between."""
    dead = {event.process for event in _all(history, Died)}
    answered = {event.call for event in _all(history, CallEnded) if event.reason is None}
    for call in _all(history, CallBegan):
        if call.call in answered and call.process not in dead and call.intent:
            outcome = history.outcomes.get(call.intent.id)
            if outcome not in ("answered", "duplicate"):
                yield f"forgotten: call {call.call} of {call.process} ended as {outcome}"


def _back_from_the_dead(history: History) -> Iterator[str]:
    """What was deleted is neither stored again nor given to anybody who asks afterwards."""
    asked = {event.request: event.at for event in _all(history, Asked)}
    deleted: dict[str, float] = {}
    for before, after in pairwise(_all(history, AnswersChanged)):
        for text in after.texts.values():
            if text in deleted:
                yield f"back from the dead: {text!r} is stored again"
        for id_ in before.texts.keys() - after.texts.keys():
            deleted[before.texts[id_]] = after.at
    for given in _all(history, Given):
        if given.text in deleted and asked[given.request] > deleted[given.text]:
            yield f"back from the dead: request {given.request} got {given.text!r}"


def _cached_after_deletion(history: History) -> Iterator[str]:
    """An answer that was being bought when its question was purged is not kept; nor any other
    answer in an epoch that it was not bought for."""
    began = {call.intent.id: call.at for call in _all(history, CallBegan) if call.intent}
    purged: dict[int, float] = {}
    landed: dict[int, int | None] = {}
    for change in _all(history, FlightChanged):
        row = change.row
        if row is None or row.state == "purged":
            purged[change.question] = change.at
        elif row.state == "done" and row.answer_id != landed.get(change.question):
            intent = history.bought.get(row.answer_id or 0)
            if intent is not None and began[intent.id] < purged.get(change.question, -1.0):
                yield f"purged, but cached: answer {row.answer_id} of {intent}"
            if intent is not None and intent.epoch != row.epoch:
                yield f"cached in epoch {row.epoch}: answer {row.answer_id} of {intent}"
        landed[change.question] = row.answer_id if row else None


def _never_ending(history: History) -> Iterator[str]:
    for request in history.stuck:
        yield f"stuck: request {request} was never answered"
    for question in history.unanswerable:
        yield f"stuck: question {question} cannot be answered"
    for question in history.running:
        yield f"stuck: question {question} is in flight for ever"


def _unexpected_errors(history: History) -> Iterator[str]:
    for refused in _all(history, Refused):
        if not refused.is_expected():
            yield f"unexpected: request {refused.request} ended with {refused.error!r}"


def _all(history: History, kind: type[E]) -> list[E]:
    return [event for event in history.events if isinstance(event, kind)]


def _steps(history: History) -> Iterator[tuple[int, FlightSeen, FlightSeen | None]]:
    """Yield each change of a row that was there before."""
    rows: dict[int, FlightSeen] = {}
    for change in _all(history, FlightChanged):
        before = rows.get(change.question)
        if before is not None:
            yield change.question, before, change.row
        if change.row is not None:
            rows[change.question] = change.row
