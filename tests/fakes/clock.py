"""A clock that a test owns: waiting takes no time, and is remembered."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Implements the port `Clock`. `sleep` moves both clocks on, and so does `advance`."""

    def __init__(self, now: datetime = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)) -> None:
        self._now = now
        self._monotonic = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds

    def move(self, step: timedelta) -> None:
        """Move the wall clock alone, to the microsecond."""
        self._now += step
