"""Tells the audit trail and the books what happened, in the transaction in which it did."""

from collections.abc import Sequence
from concurrent.futures import TimeoutError as WaitedTooLongError
from datetime import datetime

from askonce.core.access import Asker, Caller
from askonce.core.answers import Analysis, Answer
from askonce.core.attempts import Attempt, Outcome
from askonce.core.clock import Clock
from askonce.core.conversations import Message, Role
from askonce.core.errors import DatabaseUnavailableError, OverloadedError
from askonce.core.events import Action, Event
from askonce.core.landings import Way
from askonce.core.ports import Ledger, Transaction
from askonce.telemetry import log

# Longer than a commit takes, and as long as a reader is kept waiting for one.
_PATIENCE_SECONDS = 2.0

_TURNS = {Role.ASSISTANT: Action.TURN, Role.SUMMARY: Action.SUMMARY}
_COSTS_NOTHING = frozenset({Way.HIT, Way.COLLAPSED, Way.REPLAY})


def done(
    caller: Caller, action: Action, *, at: datetime, user_id: str | None, **about: int
) -> Event:
    """Return that a caller did something to a user's data; `about` has ids and counts of rows."""
    return Event(
        at=at,
        tenant=caller.tenant,
        action=action,
        user_id=user_id,
        key_id=caller.key_id,
        request_id=caller.request_id,
        about=about,
    )


def asked(asker: Asker, given: Analysis | Message, way: Way, *, at: datetime) -> Event:
    """Return that somebody was given an answer, and what that saved."""
    about: dict[str, int | str]
    if isinstance(given, Analysis):
        action, about = Action.ANALYZE, {"analysis": given.id}
    else:
        action = _TURNS.get(given.role, Action.TURN)
        about = {"message": given.id, "session": given.session_id}
    answer = given.answer
    if answer is None:
        return Event(
            at=at,
            tenant=asker.tenant,
            action=action,
            outcome=way.value,
            user_id=asker.user_id,
            key_id=asker.key_id,
            request_id=asker.request_id,
            about=about,
        )
    about["answer"] = answer.id or 0
    is_saved = way in _COSTS_NOTHING
    return Event(
        at=at,
        tenant=asker.tenant,
        action=action,
        outcome=way.value,
        user_id=asker.user_id,
        key_id=asker.key_id,
        request_id=asker.request_id,
        provider=answer.provider,
        model=answer.model,
        tokens_in=answer.tokens_in if is_saved else None,
        tokens_out=answer.tokens_out if is_saved else None,
        cost=answer.cost if is_saved else None,
        digest=answer.digest,
        about=about,
    )


def settled(
    before: Attempt,
    outcome: Outcome,
    *,
    at: datetime,
    reason: str | None = None,
    answer: Answer | None = None,
    answer_id: int | None = None,
) -> Event:
    """Return how a call ended that stood as `before` until now."""
    about: dict[str, int | str] = {"attempt": before.id}
    if answer_id is not None:
        about["answer"] = answer_id
    if reason is not None:
        about["reason"] = reason
    return Event(
        at=at,
        tenant=before.tenant,
        action=Action.CALL,
        outcome=outcome.value,
        user_id=before.user_id,
        key_id=before.key_id,
        request_id=before.request_id,
        provider=before.provider,
        model=before.model,
        tokens_in=None if answer is None else answer.tokens_in,
        tokens_out=None if answer is None else answer.tokens_out,
        cost=None if answer is None else answer.cost,
        about=about,
        unknown_since=before.finished_at if before.outcome is Outcome.UNKNOWN else None,
    )


def settle(
    tx: Transaction,
    attempt_id: int,
    outcome: Outcome,
    *,
    at: datetime,
    now: datetime,
    reason: str | None = None,
    answer: Answer | None = None,
    answer_id: int | None = None,
) -> None:
    """Write how a call ended, and book it; once, however often that is tried.

    `at` is when it ended, and `now` when that is written.
    """
    before = tx.attempts.locked(attempt_id)
    if before is not None:
        settle_locked(
            tx, before, outcome, at=at, now=now, reason=reason, answer=answer, answer_id=answer_id
        )


def settle_locked(
    tx: Transaction,
    before: Attempt,
    outcome: Outcome,
    *,
    at: datetime,
    now: datetime,
    reason: str | None = None,
    answer: Answer | None = None,
    answer_id: int | None = None,
) -> None:
    """Write how a call ended that this transaction has found as `before`; else as `settle`."""
    if before.outcome not in (Outcome.OPEN, Outcome.UNKNOWN):
        return
    tx.attempts.settle(before.id, outcome, at=at, reason=reason, answer=answer, answer_id=answer_id)
    if before.outcome is outcome:
        return
    tx.book(settled(before, outcome, at=now, reason=reason, answer=answer, answer_id=answer_id))


def book_abandoned(tx: Transaction, attempts: Sequence[Attempt], *, at: datetime) -> None:
    """Book calls of dead processes: nobody will ever know what they cost."""
    for attempt in attempts:
        tx.book(
            Event(
                at=at,
                tenant=attempt.tenant,
                action=Action.CALL,
                outcome=Outcome.UNKNOWN.value,
                user_id=attempt.user_id,
                key_id=attempt.key_id,
                request_id=attempt.request_id,
                provider=attempt.provider,
                model=attempt.model,
                about={"attempt": attempt.id, "reason": attempt.reason or ""},
            )
        )


class Reads:
    """Books that data were read. All that are read at one time share one commit."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def book(self, caller: Caller, action: Action, *, user_id: str | None, **about: int) -> None:
        """Book it, and return once that is durable.

        Where it cannot be written now, the log has it instead: while a disk is full, users can
        still read what is theirs.
        """
        event = done(caller, action, at=self._clock.now(), user_id=user_id, **about)
        try:
            self._ledger.write_together(_book_all, event).result(_PATIENCE_SECONDS)
        except (DatabaseUnavailableError, OverloadedError, WaitedTooLongError):
            log.warning(
                "read_not_booked",
                action=action.value,
                tenant=caller.tenant,
                user_id=user_id,
                key_id=caller.key_id,
                request_id=caller.request_id,
                **about,
            )


def _book_all(tx: Transaction, events: Sequence[Event]) -> Sequence[None]:
    for event in events:
        tx.book(event)
    return [None] * len(events)
