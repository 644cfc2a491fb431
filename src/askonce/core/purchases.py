"""An answer that was paid for, and all that is needed to keep it: also later, also elsewhere."""

from dataclasses import dataclass
from datetime import datetime

from askonce.core.access import Asker
from askonce.core.answers import Answer
from askonce.core.flights import Lease
from askonce.core.questions import Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """One answer on its way into the database.

    `owner` made the call and wrote its intent under `attempt_id`; `at` is when the answer came.
    """

    question: Question
    asker: Asker
    lease: Lease
    # False for a call outside the cache, which no row in the flight table stands for.
    has_lease: bool
    # Whether the answer may become a cache entry.
    is_kept: bool
    owner: str
    attempt_id: int
    answer: Answer
    # An answer that was paid for before, but did not fit the schema.
    spent: Answer | None
    at: datetime
