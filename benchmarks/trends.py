"""Whether something that shall stay as it is grows."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.arithmetic import median

# The part of a run in which caches fill, pools open and allocators find their size.
WARM_UP = 0.25


@dataclass(frozen=True, slots=True)
class Bound:
    """How much more of something may be held at the end than after the warm-up."""

    name: str
    unit: str
    most: float

    def rise(self, values: Sequence[float]) -> float:
        """Return how much higher the last quarter lies than the one after the warm-up.

        Between medians, so that what only comes and goes is no trend. `values` are taken at even
        distances.
        """
        kept = values[int(len(values) * WARM_UP) :]
        part = max(1, len(kept) // 4)
        return median(kept[-part:]) - median(kept[:part])

    def holds_for(self, values: Sequence[float]) -> bool:
        return self.rise(values) <= self.most
