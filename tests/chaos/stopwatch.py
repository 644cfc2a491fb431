"""The run's own clock: seconds since it began, the same for all processes of this machine."""

import time


class Stopwatch:
    """Reads the monotonic clock, and translates what others took from the wall clock."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._began_by_the_wall = time.time()

    def now(self) -> float:
        return time.monotonic() - self._began

    def of_wall(self, seconds: float) -> float:
        """Return a moment of the wall clock as one of the run."""
        return seconds - self._began_by_the_wall

    def check(self) -> None:
        """Refuse to go on with a wall clock that was set during the run."""
        drift = self.of_wall(time.time()) - self.now()
        assert abs(drift) < 0.02, f"the wall clock was set by {drift:.3f} s during the run"
