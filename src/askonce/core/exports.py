"""Everything that is held about a user, a portion at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from askonce.core.answers import Analysis
from askonce.core.conversations import Message, Session
from askonce.core.preferences import Wishes
from askonce.core.questions import Question
from askonce.core.usage import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A provider call that was made for a user, as the journal has it."""

    id: int
    provider: str
    model: str
    outcome: str
    tokens_in: int | None
    tokens_out: int | None
    cost: Decimal | None
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """An idempotency key that a user's request came with: only a digest of it is held."""

    scope: bytes
    analysis_id: int | None
    session_id: int | None
    message_id: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLine:
    """A question of a user that a vendor has yet to answer in a batch."""

    id: int
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A budget that was set for a user."""

    amount: int
    unit: str
    period: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageDay:
    """What a user spent and saved on one day, with one model."""

    day: date
    provider: str
    model: str
    totals: Totals


# What one line of an export is about. Of a user's preferences there are some, or none.
Held = Analysis | Session | Message | Call | KnownKey | BatchLine | Limit | UsageDay | Wishes


class Exports(Protocol):
    """What is held about users. A portion follows the row `after`, and the last one is empty."""

    def preferences(self, tenant: str, user_id: str) -> Sequence[Wishes]: ...

    def budgets(self, tenant: str, user_id: str) -> Sequence[Limit]: ...

    def usage(self, tenant: str, user_id: str, *, after: date) -> Sequence[UsageDay]:
        """Return all of some later days, the oldest first."""

    def analyses(self, tenant: str, user_id: str, *, after: int) -> Sequence[Analysis]:
        """Return some analyses, the oldest first: at most about a megabyte of them, or one."""

    def sessions(self, tenant: str, user_id: str, *, after: int) -> Sequence[Session]: ...

    def messages(self, session: Session, *, after: int) -> Sequence[Message]:
        """Return some messages, as much at once as of the analyses."""

    def calls(self, tenant: str, user_id: str, *, after: int) -> Sequence[Call]: ...

    def keys(self, tenant: str, user_id: str, *, after: bytes) -> Sequence[KnownKey]: ...

    def batch_lines(self, tenant: str, user_id: str, *, after: int) -> Sequence[BatchLine]: ...
