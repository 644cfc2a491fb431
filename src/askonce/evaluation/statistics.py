"""Whether two runs differ by more than chance: paired tests, exact where they can be."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, lcm
from typing import Final

LEVEL: Final = 0.05
_RESAMPLES = 5_000
# So many steps take about a second; beyond, signs are drawn instead of gone through.
_MOST_STEPS = 2_000_000
_SEED = 20_261_122


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a paired test says. `differing` pairs out of `pairs` are not alike in both runs."""

    pairs: int
    differing: int
    p_value: float

    @property
    def can_tell(self) -> bool:
        """Whether so few differing pairs could be significant if all of them went one way.

        The smallest p-value that n differing pairs can have is 2^(1-n), in both tests.
        """
        return 2.0 ** (1 - self.differing) < LEVEL

    @property
    def is_significant(self) -> bool:
        return self.p_value < LEVEL


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided p-value of so many pairs having gone one way and the other.

    The exact sign test (Arbuthnott 1710; Conover, Practical Nonparametric Statistics, 3rd ed.,
    section 3.4). Of pairs of passed and failed it is McNemar's test (Psychometrika 12, 1947) in its
    exact form: pairs that are alike say nothing about which of two is better.
    """
    differing = better + worse
    fewer = min(better, worse)
    tail = Fraction(sum(comb(differing, number) for number in range(fewer + 1)), 2**differing)
    return min(1.0, float(2 * tail))


def sign_flip_test(differences: Sequence[Fraction]) -> float:
    """Return the two-sided p-value of a mean difference between pairs.

    Fisher's randomisation test (The Design of Experiments, 1935, section 21): if it makes no
    difference which run a score is from, each difference could as well have the other sign. All
    ways to set the signs are gone through; where these are too many, 20 000 are drawn by a fixed
    seed, and the one that was observed is counted in (Phipson and Smyth, Stat. Appl. Genet. Mol.
    Biol. 9, 2010).
    """
    scale = lcm(*(one.denominator for one in differences))
    steps = [abs(int(one * scale)) for one in differences if one]
    observed = abs(int(sum(differences) * scale))
    if len(steps) * sum(steps) > _MOST_STEPS:
        return _sampled(steps, observed)
    ways = Counter({0: 1})
    for step in steps:
        flipped: Counter[int] = Counter()
        for total, count in ways.items():
            flipped[total + step] += count
            flipped[total - step] += count
        ways = flipped
    extreme = sum(count for total, count in ways.items() if abs(total) >= observed)
    return float(Fraction(extreme, 2 ** len(steps)))


def _sampled(steps: Sequence[int], observed: int) -> float:
    # The same draws each time, so that the same runs have the same p-value.
    draw = random.Random(_SEED)  # noqa: S311  # nosec B311
    most = 20_000
    extreme = sum(
        abs(sum(step if draw.getrandbits(1) else -step for step in steps)) >= observed
        for _ in range(most)
    )
    return (extreme + 1) / (most + 1)


def bootstrap_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return between which means 95 % of resampled runs lie.

    The percentile bootstrap of pairs (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    chapter 13), by a fixed seed. Of few pairs it is too narrow.
    """
    draw = random.Random(_SEED)  # noqa: S311  # nosec B311
    size = len(differences)
    means = sorted(sum(draw.choices(differences, k=size)) / size for _ in range(_RESAMPLES))
    edge = round(_RESAMPLES * LEVEL / 2)
    return means[edge], means[-edge - 1]
