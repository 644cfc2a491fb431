"""What happened in one schedule, as an outside observer of clients, provider and tables saw it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from askonce.core.errors import AskonceError


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, in virtual seconds."""

    at: float


@dataclass(frozen=True, slots=True)
class Asked(Event):
    """A client sent a request. `question` is the question's number."""

    request: int
    process: str
    question: int
    rules: str


@dataclass(frozen=True, slots=True)
class Given(Event):
    """A request was answered with 200."""

    request: int
    question: int
    way: str
    analysis_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A request ended with an error."""

    request: int
    question: int
    error: BaseException

    def is_expected(self) -> bool:
        return isinstance(self.error, AskonceError)


@dataclass(frozen=True, slots=True)
class Intent:
    """The row of an attempt."""

    id: int
    epoch: int
    fence: int
    owner: str


@dataclass(frozen=True, slots=True)
class CallBegan(Event):
    """A provider was called. `intent` is the row that was there for it at that moment."""

    call: int
    process: str
    question: int
    intent: Intent | None


@dataclass(frozen=True, slots=True)
class CallEnded(Event):
    """A provider answered, or did not."""

    call: int
    reason: str | None


@dataclass(frozen=True, slots=True)
class Died(Event):
    process: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """A process was stopped (`why` is "frozen") or lost its way to the database ("cut off")."""

    process: str
    why: str


@dataclass(frozen=True, slots=True)
class CameBack(Event):
    process: str
    why: str


@dataclass(frozen=True, slots=True)
class Noted(Event):
    """Something that only explains: no check reads it."""

    what: str


@dataclass(frozen=True, slots=True)
class FlightSeen:
    """A row of the flight table."""

    epoch: int
    fence: int
    beat: int
    state: str
    owner: str
    takeovers: int
    answer_id: int | None


@dataclass(frozen=True, slots=True)
class FlightChanged(Event):
    """A commit changed a question's row. `row` is None where it took it away."""

    question: int
    row: FlightSeen | None


@dataclass(frozen=True, slots=True)
class AnswersChanged(Event):
    """A commit added or removed answers. `texts` has all that are there now, by id."""

    texts: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class RemovalAsked(Event):
    """A client sent a deletion."""

    analysis_id: int


@dataclass(slots=True)
class History:
    """Everything that happened, and what the tables held at the end."""

    events: list[Event] = field(default_factory=list)
    # By analysis id: the answer's text.
    analyses: dict[int, str] = field(default_factory=dict)
    # By answer id: the attempt that bought it.
    bought: dict[int, Intent] = field(default_factory=dict)
    # By attempt id: how it ended.
    outcomes: dict[int, str] = field(default_factory=dict)
    # Where the books say another thing than the tables.
    misbooked: list[str] = field(default_factory=list)
    # Requests to living processes that nobody answered, although all faults were over.
    stuck: list[int] = field(default_factory=list)
    # Questions that still could not be answered long after all faults were over.
    unanswerable: list[int] = field(default_factory=list)
    # Questions whose row was still in flight at the end.
    running: list[int] = field(default_factory=list)
