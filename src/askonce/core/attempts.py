"""How a provider call ended."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

# The reason of an intent that no call followed.
CIRCUIT_OPEN = "circuit-open"


class Outcome(StrEnum):
    """The end of one attempt. `OPEN` with a dead owner means: nobody knows what it cost."""

    OPEN = "open"
    ANSWERED = "answered"
    # Paid, but the question already had its answer: another leader was quicker.
    DUPLICATE = "duplicate"
    # Paid, but it does not fit the schema that was asked for.
    INVALID = "invalid"
    FAILED = "failed"
    # It may have been paid: the answer never arrived whole.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call as it stands, and for whom it was made."""

    id: int
    tenant: str
    user_id: str
    key_id: int | None
    request_id: str
    provider: str
    model: str
    outcome: Outcome
    reason: str | None
    answer_id: int | None
    finished_at: datetime | None

    @property
    def is_anonymous(self) -> bool:
        """Whether the user for whom this call was made has been erased."""
        return not self.user_id
