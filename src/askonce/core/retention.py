"""How long things are kept that nobody deletes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from askonce.core.idempotency import KEPT_FOR

# What nobody can use any more is left alone for a while: clocks differ, and so do deadlines.
SPARE = timedelta(hours=1)
# For so long the cost of a call that was charged as unknown is put right, should it become known.
CORRECTED_FOR = timedelta(days=62)


class Kind(StrEnum):
    """What is removed once it is old enough, in this order."""

    ENTRIES = "entries"
    IDEMPOTENCY_KEYS = "idempotency keys"
    ANALYSES = "analyses"
    ATTEMPTS = "attempts"
    RATE_LIMITS = "rate limits"
    RESERVATIONS = "reservations"
    ERASURES = "erasures"
    SIGN_INS = "console sign-ins"

    @property
    def is_in_order_of_age(self) -> bool:
        """Whether rows are looked at oldest first, but for what clocks differ."""
        return self in (Kind.ANALYSES, Kind.ATTEMPTS, Kind.RESERVATIONS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is old at `now`; without `history_before` the history and its calls are kept for ever.

    An entry is old when it expired, and the last call for its question began, before that time.
    """

    now: datetime
    history_before: datetime | None = None

    @classmethod
    def of(cls, now: datetime, *, history: timedelta | None) -> "Limits":
        return cls(now=now, history_before=None if history is None else now - history)

    def before(self, kind: Kind) -> datetime | None:
        """Return before when a row of this kind is old; None: never."""
        match kind:
            case Kind.ENTRIES | Kind.RATE_LIMITS | Kind.SIGN_INS:
                return self.now - SPARE
            case Kind.RESERVATIONS:
                return self.now - CORRECTED_FOR
            case Kind.IDEMPOTENCY_KEYS:
                return self.now - KEPT_FOR - SPARE
            case Kind.ERASURES:
                # No request waits for so long that it could have begun before one of these.
                return self.now - timedelta(days=1) - SPARE
            case Kind.ANALYSES | Kind.ATTEMPTS:
                return self.history_before


@dataclass(frozen=True, slots=True)
class Old:
    """A row that can go; `size` is how many characters go with it."""

    key: Any
    size: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at some rows found. The next one starts behind `last`; None: that was all."""

    old: Sequence[Old]
    last: Any


@dataclass(frozen=True, slots=True)
class Gone:
    """How much a batch removed: rows, and the answers that nobody uses any more."""

    rows: int = 0
    answers: int = 0

    def __add__(self, other: "Gone") -> "Gone":
        return Gone(self.rows + other.rows, self.answers + other.answers)
