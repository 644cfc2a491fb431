"""Percentiles, medians, and whether a figure is as good as it should be."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# 0.07 of a hundred is 7, not the 8th because of the last bit of 7.000000000000001.
_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure shall be: at least, or at most, a bound."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met_by(self, value: float) -> bool:
        """Return whether a figure is as good as it should be; the bound itself is."""
        is_enough = self.at_least is None or value >= self.at_least
        is_within = self.at_most is None or value <= self.at_most
        return is_enough and is_within


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest of `values` that `share` (0 to 1) of them do not exceed; 0 of none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    # Nearest rank: an answer that somebody waited for, never one between two.
    rank = math.ceil(round(share * len(ordered), _DECIMALS))
    return ordered[max(1, rank) - 1]


def median(values: Iterable[float]) -> float:
    """Return the middle of `values`; 0 of none."""
    ordered = list(values)
    return statistics.median(ordered) if ordered else 0.0


def ratio(values: Sequence[float], beside: Sequence[float]) -> float:
    """Return the median of the ratios of rounds that ran beside each other.

    Not the ratio of the medians: what slows the machine for a while slows both of a round.
    """
    return median(one / other for one, other in zip(values, beside, strict=True) if other)
