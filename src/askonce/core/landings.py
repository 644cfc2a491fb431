"""What comes out of asking: for the flight, and for each of those who asked."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from askonce.core.answers import Analysis
from askonce.core.conversations import Message
from askonce.core.tapes import Tape


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """How a flight ended: with the answer that stands.

    `paid` is what the asker was given whose request made the call, where it was made here: a
    history row, or a message in a session.
    """

    answer_id: int
    paid: Analysis | Message | None = None
    is_kept: bool = False


class Way(Enum):
    """How a request came by its answer; `Cache-Status` says it to the client."""

    HIT = "hit"
    MISS = "miss"
    COLLAPSED = "collapsed"
    # The request itself told us not to use the cache.
    BYPASS = "bypass"
    # An idempotency key that was answered before.
    REPLAY = "replay"


@dataclass(slots=True)
class Phases:
    """Where the time of a question went, in seconds; what is still going on has not been added."""

    # For a slot to make a call in.
    queue: float = 0.0
    # For the calls, with the waits between their tries.
    provider: float = 0.0
    # For commits.
    ledger: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Boarded:
    """A request on its way: its outcome to come, and what is said meanwhile.

    `tape` is None where the outcome needs no call.
    """

    asked: "Future[Asked]"
    way: Way
    tape: Tape | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request's outcome. `stored_at` and `expires_at` are those of the entry that was hit.

    `phases` are those of the flight that brought the answer, if there was one.
    """

    given: Analysis | Message
    way: Way
    is_kept: bool = False
    stored_at: datetime | None = None
    expires_at: datetime | None = None
    phases: Phases | None = field(default=None, compare=False)

    @property
    def analysis(self) -> Analysis:
        """The history row that an analysis was given."""
        assert isinstance(self.given, Analysis)  # noqa: S101 - by who asked
        return self.given

    @property
    def message(self) -> Message:
        """The message that a session was given."""
        assert isinstance(self.given, Message)  # noqa: S101 - by who asked
        return self.given
