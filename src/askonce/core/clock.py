"""Time comes in from outside, so that a test or a simulation can own it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for what is stored, monotonic time for what is waited for."""

    def now(self) -> datetime:
        """Return the present moment, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back and never jump."""

    def sleep(self, seconds: float) -> None:
        """Wait; `seconds` is never negative."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        # Not time.monotonic(): a frozen wall clock (freezegun) must not stop leases and deadlines.
        return time.clock_gettime(time.CLOCK_MONOTONIC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment after which nobody waits any longer, on the monotonic clock."""

    at: float
    clock: Clock

    @classmethod
    def after(cls, seconds: float, clock: Clock) -> "Deadline":
        """Return the deadline that lies `seconds` from now."""
        return cls(clock.monotonic() + seconds, clock)

    def remaining(self) -> float:
        """Return the seconds left; negative once it has passed."""
        return self.at - self.clock.monotonic()

    def has_passed(self) -> bool:
        return self.remaining() <= 0

    def no_later_than(self, seconds: float) -> "Deadline":
        """Return the sooner of this deadline and the one `seconds` from now."""
        return Deadline(min(self.at, self.clock.monotonic() + seconds), self.clock)
