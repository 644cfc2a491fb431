"""A provider call that is to be made."""

from dataclasses import dataclass, field

from askonce.core.access import Asker
from askonce.core.answers import Answer
from askonce.core.clock import Deadline
from askonce.core.flights import Lease
from askonce.core.landings import Phases
from askonce.core.questions import Question
from askonce.core.tapes import Tape


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call to be made: what is asked, for whom, and by when."""

    question: Question
    asker: Asker
    lease: Lease
    # False for a call outside the cache, which no row in the flight table stands for.
    has_lease: bool
    # Whether the answer may become a cache entry.
    is_kept: bool
    deadline: Deadline
    # Where to write the answer as it is made, if anybody wants to read it so.
    tape: Tape | None = None
    # An answer that was paid for before, but did not fit the schema.
    spent: Answer | None = None
    phases: Phases = field(default_factory=Phases, compare=False)
