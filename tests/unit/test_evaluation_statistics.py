"""Tests of significance, against what is published, and against rules that hold for all data."""

from fractions import Fraction
from itertools import product
from operator import mul

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.evaluation.comparing import told
from askonce.evaluation.statistics import (
    Finding,
    bootstrap_interval,
    sign_flip_test,
    sign_test,
)

# Charles Darwin's maize, in eighths of an inch: crossed less self-fertilised plants of 15 pairs.
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
FEW = st.lists(st.integers(-4, 4).map(lambda n: Fraction(n, 3)), min_size=1, max_size=8)


def test_the_randomisation_test_gives_fishers_own_figure() -> None:
    # The Design of Experiments, section 21: 863 of 32 768 on one side, 5.267 % on both.
    assert sign_flip_test([Fraction(one) for one in DARWIN]) == 2 * 863 / 32_768


@pytest.mark.parametrize(
    ("better", "worse", "published"),
    [
        # Zar, Biostatistical Analysis: legs of deer, 8 pairs of 10.
        (8, 2, 0.109375),
        # Agresti, Categorical Data Analysis: approval of a prime minister, asked twice; exact
        # McNemar as R's exact2x2 has it.
        (86, 150, 3.716e-05),
        (0, 0, 1.0),
        (5, 0, 0.0625),
        (6, 0, 0.03125),
    ],
)
def test_the_sign_test_gives_published_figures(better: int, worse: int, published: float) -> None:
    assert sign_test(better, worse) == pytest.approx(published, rel=1e-3)


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_sign_test_is_a_probability_and_has_no_side(better: int, worse: int) -> None:
    assert 0 < sign_test(better, worse) <= 1
    assert sign_test(better, worse) == sign_test(worse, better)


@given(FEW)
def test_the_randomisation_test_goes_through_all_signs(differences: list[Fraction]) -> None:
    observed = abs(sum(differences, Fraction()))
    flips = list(product((1, -1), repeat=len(differences)))
    extreme = sum(abs(sum(map(mul, signs, differences), Fraction())) >= observed for signs in flips)

    assert sign_flip_test(differences) == pytest.approx(extreme / len(flips))


@given(FEW)
def test_pairs_that_are_alike_change_nothing(differences: list[Fraction]) -> None:
    assert sign_flip_test([*differences, Fraction(), Fraction()]) == sign_flip_test(differences)


def test_where_all_signs_are_too_many_some_are_drawn_and_always_the_same() -> None:
    odd = [Fraction(10**6 + number, 10**6) for number in range(1, 60)]
    balanced = [one if number % 2 else -one for number, one in enumerate(odd)]

    assert sign_flip_test(odd) < 0.001
    assert sign_flip_test(balanced) > 0.5
    assert sign_flip_test(balanced) == sign_flip_test(balanced)


def test_an_interval_is_about_the_mean_and_always_the_same() -> None:
    differences = [float(one) for one in DARWIN]
    low, high = bootstrap_interval(differences)

    assert low < sum(differences) / len(differences) < high
    assert (low, high) == bootstrap_interval(differences)
    # Student's interval of the same data, as Fisher has it, is -0.03 to 41.8; this one is narrower.
    assert low == pytest.approx(2, abs=4)
    assert high == pytest.approx(38, abs=4)


@pytest.mark.parametrize(
    ("better", "worse", "says"),
    [
        (0, 0, "no prompt differs"),
        (5, 0, "too few to tell: only 5 of 20 prompts differ"),
        (6, 0, "significant: hardly chance (p = 0.031)"),
        (6, 4, "not significant: may be chance"),
        (20, 0, "significant: hardly chance (p = 1.9e-06)"),
    ],
)
def test_what_a_test_says_is_told_in_words(better: int, worse: int, says: str) -> None:
    finding = Finding(pairs=20, differing=better + worse, p_value=sign_test(better, worse))

    assert told(finding).startswith(says)


@given(st.integers(1, 5))
def test_too_few_pairs_never_count_as_significant(differing: int) -> None:
    finding = Finding(pairs=20, differing=differing, p_value=sign_test(differing, 0))

    assert not finding.can_tell
    assert not finding.is_significant
