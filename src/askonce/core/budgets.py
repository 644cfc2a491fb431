"""What may be spent, by whom, in a day or a month."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from typing import Final, Protocol

from askonce.core.questions import Question

_PICODOLLARS: Final = Decimal(10) ** 12
# What vendors put around a prompt (roles, rules for structured output), far above what was seen.
_TOKENS_AROUND: Final = 512
_TOKENS_AROUND_MESSAGE: Final = 16


class Kind(StrEnum):
    """Whose calls a budget is for."""

    TENANT = "tenant"
    KEY = "key"
    USER = "user"


class Unit(StrEnum):
    """What a budget counts. Dollars are whole picodollars (10^-12) in all amounts."""

    USD = "usd"
    TOKENS = "tokens"


class Period(StrEnum):
    """When a budget begins anew, in UTC."""

    DAY = "day"
    MONTH = "month"

    def start(self, now: datetime) -> datetime:
        """Return when the period began that `now` lies in."""
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight if self is Period.DAY else midnight.replace(day=1)

    def end(self, start: datetime) -> datetime:
        """Return when the period is over that began at `start`."""
        if self is Period.DAY:
            return start + timedelta(days=1)
        return (start + timedelta(days=31)).replace(day=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a budget is for. There is one budget at most for each."""

    tenant: str
    kind: Kind
    # A user's id, or a key's; of a tenant, nothing.
    name: str
    unit: Unit
    period: Period


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """So much may be spent in each period."""

    id: int
    scope: Scope
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A budget in its present period: what is spent, and held for calls in flight.

    `unknown` is the part of `spent` that was charged for calls whose cost nobody knows.
    """

    budget: Budget
    starts_at: datetime
    spent: int = 0
    reserved: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Hold:
    """The most that one call can take of a budget."""

    budget: Budget
    starts_at: datetime
    amount: int


@dataclass(frozen=True, slots=True)
class BudgetNews:
    """Which budgets have been set since. `version` grows with every change."""

    version: int
    budgets: Sequence[Budget] = field(default=())
    # They are all that there are: some were removed, and it is not known which.
    is_all: bool = False


class Prices(Protocol):
    """What calls may cost."""

    def most(
        self, provider: str, model: str, *, tokens_in: int, tokens_out: int, at: datetime
    ) -> Decimal | None:
        """Return the most US dollars that so many tokens can cost; None: no price is known."""


def most_tokens_in(question: Question) -> int:
    """Return how many tokens a question's prompt can have at the very most.

    A token stands for one byte at least. Most stand for four, and what is held too much is given
    back after the call; but what can be asked in no more tokens than we think is up to who asks.
    """
    said = question.messages or ()
    parts = (question.text, question.instructions or "", question.output_schema or "")
    size = sum(len(part.encode()) for part in parts)
    size += sum(len(one.content.encode()) + _TOKENS_AROUND_MESSAGE for one in said)
    return size + _TOKENS_AROUND


def picodollars(cost: Decimal) -> int:
    """Return an amount of US dollars as it is counted, rounded up."""
    return int((cost * _PICODOLLARS).to_integral_value(ROUND_CEILING))


def dollars(amount: int) -> Decimal:
    """Return picodollars as US dollars."""
    return Decimal(amount) / _PICODOLLARS
