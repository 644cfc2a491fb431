"""One question on its way to one answer: the lease on it, and when its leader is given up.

Liveness is observed, never read from a clock that another machine wrote: whoever waits watches the
row's heartbeat counter with its own monotonic clock, as Kubernetes' leader election does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum

# An input that kills its worker each time is not bought for ever.
MAX_TAKEOVERS = 1


class FlightState(StrEnum):
    """Where a flight stands. Rows are never deleted while a leader may live: purging is a state."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    PURGED = "purged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to call a provider for one question.

    `epoch` counts logical answers of a question; the first answer of an epoch stands. `fence` is
    the fencing token: it grows with every acquisition and never goes back.
    """

    fingerprint: bytes
    epoch: int
    fence: int


# A question is not claimed a thousand times in one millisecond.
CLAIMS_PER_MILLISECOND = 1000


def first_epoch(now: datetime) -> int:
    """Return epoch and fence of a question that has no row.

    It may have had one, which was removed when nobody had used it for long. What a process that
    slept through all this still holds must not fit the new row, so numbers start where no row's
    numbers can have come to before now.
    """
    milliseconds = int(now.timestamp() * 1000)
    return milliseconds * CLAIMS_PER_MILLISECOND + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A flight's row as a waiter reads it."""

    epoch: int
    fence: int
    beat: int
    state: FlightState
    owner: str
    takeovers: int
    answer_id: int | None
    stored_at: datetime | None
    expires_at: datetime | None
    failure: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTimes:
    """How patient waiters are, in seconds. The defaults take over from a lost host within 10 s."""

    heartbeat: float = 1.0
    lease: float = 5.0

    @property
    def grace(self) -> float:
        """How long a living leader gets to beat once the database has proved to take writes."""
        return 2.5 * self.heartbeat


class Verdict(Enum):
    """What to do about a flight's leader now."""

    WAIT = "wait"
    PROBE = "probe"
    TAKE_OVER = "take over"


class Observation:
    """One waiter's view of one leader.

    Takeover has two steps. Silence for the whole lease asks for probes, writes to the same row,
    every half heartbeat. Only when they went through for all of `grace`, none much later than
    the one before, and the leader stayed silent all the while, may it be taken over: a stalled
    database must not look like a dead leader, nor one that comes and goes.
    """

    def __init__(self, times: LeaseTimes, monotonic: Callable[[], float]) -> None:
        self._times = times
        self._monotonic = monotonic
        self._last: tuple[int, int] | None = None
        self._since = 0.0
        # Since when the database has been taking writes, and when it last did.
        self._writable_since: float | None = None
        self._written_at = 0.0

    def judge(self, seen: Seen) -> Verdict:
        """Return what the row, as just read, calls for."""
        now = self._monotonic()
        if (seen.fence, seen.beat) != self._last:
            self._last = (seen.fence, seen.beat)
            self._since = now
            self._writable_since = None
            return Verdict.WAIT
        if self._writable_since is None:
            is_silent = now - self._since >= self._times.lease
            return Verdict.PROBE if is_silent else Verdict.WAIT
        if self._written_at - self._writable_since >= self._times.grace:
            return Verdict.TAKE_OVER
        is_due = now - self._written_at >= self._times.heartbeat / 2
        return Verdict.PROBE if is_due else Verdict.WAIT

    def probed(self) -> None:
        """Note that a probe was written."""
        now = self._monotonic()
        is_late = now - self._written_at > 1.5 * self._times.heartbeat
        if self._writable_since is None or is_late:
            self._writable_since = now
        self._written_at = now

    def start_again(self) -> None:
        """Forget what was seen: after a database error nothing is known about the leader."""
        self._last = None
        self._writable_since = None
