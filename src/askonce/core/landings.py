"""What comes out of asking: for the flight, and for each of those who asked."""

from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from askonce.core.answers import Analysis
from askonce.core.tapes import Tape


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """How a flight ended: with the answer that stands.

    `paid` is the history row of the asker whose request made the call, where it was made here.
    """

    answer_id: int
    paid: Analysis | None = None
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
    """One request's outcome. `stored_at` and `expires_at` are those of the entry that was hit."""

    analysis: Analysis
    way: Way
    is_kept: bool = False
    stored_at: datetime | None = None
    expires_at: datetime | None = None
