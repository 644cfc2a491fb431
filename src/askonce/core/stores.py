"""The doors to conversations, preferences and limits in the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from askonce.core.access import Caller
from askonce.core.budgets import BudgetNews, Hold, Scope, Standing
from askonce.core.conversations import (
    Message,
    NewSession,
    Session,
    Turn,
)
from askonce.core.limits import Rate, Subject, Taken
from askonce.core.preferences import Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions to list, the most recently updated first."""

    user_id: str | None = None
    limit: int = 10
    # Where the last page ended: what was updated before that, or then and has a smaller id.
    before: tuple[datetime, int] | None = None


class Sessions(Protocol):
    """The conversations of all users."""

    def add(self, caller: Caller, new: NewSession, *, at: datetime) -> Session:
        """Begin a conversation in which nothing has been said."""

    def one(self, caller: Caller, session_id: int) -> Session | None:
        """Return one session that the caller may reach."""

    def locked(self, caller: Caller, session_id: int) -> Session | None:
        """Return one session; nobody else changes it until this transaction ends."""

    def newest(self, caller: Caller, wanted: SessionFilter) -> Sequence[Session]:
        """Return up to `wanted.limit` sessions, the most recently updated first."""

    def change(
        self, caller: Caller, session_id: int, changes: Mapping[str, str | None], *, at: datetime
    ) -> Session | None:
        """Change these fields, and return the session as it is then; None without one."""

    def remove(self, caller: Caller, session_id: int) -> bool:
        """Delete a session, its messages, and the answers and entries that nobody else uses.

        Calls in flight are fenced off: none can bring back what was deleted. False when there is
        no such session, or none that the caller may reach.
        """


class Messages(Protocol):
    """What was said in all sessions."""

    def say(self, session: Session, content: str, *, at: datetime) -> Message:
        """Write what a user says, behind all other messages."""

    def bring_in(self, session: Session, content: str, *, at: datetime) -> Message:
        """Write what an assistant said elsewhere, behind all other messages."""

    def give(
        self, tenant: str, turn: Turn, answer_id: int, *, cached: bool, at: datetime
    ) -> Message | None:
        """Write a model's words in their place; None when it is taken, or has been deleted."""

    def given(self, tenant: str, turn: Turn) -> Message | None:
        """Return the words that are in a place already."""

    def end_of(self, tenant: str, session_id: int) -> int | None:
        """Return the position of a session's newest message; None without the session.

        Nobody else adds one until this transaction ends.
        """

    def reply_to(self, session: Session, message: Message) -> Message | None:
        """Return what an assistant said first after a message."""

    def around(self, session: Session, reply: Message) -> Sequence[Message]:
        """Return a reply with what it replies to and the summaries that were made for it."""

    def one(self, caller: Caller, message_id: int) -> Message | None:
        """Return one message of a session that the caller may reach."""

    def newest(
        self, caller: Caller, session_id: int, *, limit: int, before_id: int | None = None
    ) -> Sequence[Message]:
        """Return up to `limit` messages, summaries among them, the largest id first."""

    def thread(
        self, session: Session, *, first: int = 1, last: int | None = None, limit: int
    ) -> Sequence[Message]:
        """Return up to `limit` messages from position `first` on, oldest first, no summaries."""

    def ending(self, session: Session, *, last: int, limit: int) -> Sequence[Message]:
        """Return the `limit` messages that end at position `last`, oldest first, no summaries."""

    def summaries(self, session: Session) -> Sequence[Message]:
        """Return all summaries of a session, the oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceNews:
    """Whose preferences have changed. `version` grows with every change."""

    version: int
    users: Sequence[tuple[str, str]]
    # Somebody's were deleted, and it is no longer known whose.
    is_all: bool


class Preferences(Protocol):
    """What users want where their requests leave it open."""

    def of(self, tenant: str, user_id: str) -> Wishes | None:
        """Return a user's preferences."""

    def put(self, tenant: str, user_id: str, wishes: Wishes, *, at: datetime) -> None:
        """Replace a user's preferences."""

    def remove(self, tenant: str, user_id: str) -> bool:
        """Delete a user's preferences; False where there are none."""

    def news(self, since: int | None) -> PreferenceNews:
        """Return what has changed after version `since`; without one, only the version."""


class RateLimits(Protocol):
    """How often everybody has asked lately."""

    def take(self, rate: Rate, wanted: Mapping[Subject, int], *, now: int) -> dict[Subject, Taken]:
        """Grant each subject as much as there is of what it wants; `now` in microseconds."""

    def give_back(self, rate: Rate, unused: Mapping[Subject, int]) -> None:
        """Take back what `take` granted in this transaction and nobody used."""


class Budgets(Protocol):
    """The budgets of all tenants, and what was spent of them."""

    def put(self, scope: Scope, amount: int, *, at: datetime) -> None:
        """Set what may be spent; what was spent already of the same budget still counts."""

    def remove(self, scope: Scope) -> bool:
        """Let calls cost what they may again; False where there was no such budget."""

    def standings(self, now: datetime) -> Sequence[Standing]:
        """Return all budgets with what is spent of them in the period that `now` lies in."""

    def news(self, since: int | None) -> BudgetNews:
        """Return what was set after version `since`; without one, all budgets."""

    def reserve(self, holds: Sequence[Hold]) -> Sequence[Hold] | Hold:
        """Hold the most that a call can cost, of all these budgets or of none.

        Returns what is held, to be noted with the call; or else what did not fit.
        """

    def note(self, attempt_id: int, holds: Sequence[Hold]) -> None:
        """Write for which call something is held: its end settles it."""
