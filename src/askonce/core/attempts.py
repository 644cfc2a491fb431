"""How a provider call ended."""

from enum import StrEnum


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
