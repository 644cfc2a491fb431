"""What the benchmark computes from what it measured."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.arithmetic import Target, median, percentile, ratio
from benchmarks.trends import Bound

HUNDRED = [float(number) for number in range(1, 101)]
MEMORY = Bound("memory", "MiB", 16.0)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 1.0), (0.07, 7.0), (0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0)],
)
def test_a_percentile_is_the_smallest_that_so_many_do_not_exceed(
    share: float, expected: float
) -> None:
    assert percentile(HUNDRED[::-1], share) == expected


def test_a_percentile_of_few_is_one_of_them() -> None:
    assert percentile([3.0, 1.0], 0.99) == 3.0
    assert percentile([7.0], 0.5) == 7.0


def test_nothing_has_a_percentile_and_a_median_of_nought() -> None:
    assert percentile([], 0.99) == 0.0
    assert median([]) == 0.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_so_many_are_within_a_percentile(values: list[float], share: float) -> None:
    bound = percentile(values, share)

    assert sum(value <= bound for value in values) >= share * len(values) - 1e-6


def test_a_median_lets_no_single_round_count() -> None:
    assert median([1.0, 100.0, 2.0]) == 2.0


def test_a_ratio_is_taken_within_each_round() -> None:
    # The machine was half as fast in the second round.
    assert ratio([20.0, 10.0, 22.0], [10.0, 5.0, 11.0]) == 2.0


def test_a_round_that_gave_nothing_has_no_ratio() -> None:
    assert ratio([20.0, 1.0], [10.0, 0.0]) == 2.0


def test_rounds_that_do_not_belong_together_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio([1.0, 2.0], [1.0])


def test_a_target_may_be_a_least() -> None:
    target = Target(at_least=1.2)

    assert [target.is_met_by(value) for value in (1.19, 1.2, 2.0)] == [False, True, True]


def test_a_target_may_be_a_most() -> None:
    target = Target(at_most=9.0)

    assert [target.is_met_by(value) for value in (0.0, 9.0, 9.1)] == [True, True, False]


def test_a_target_may_be_both() -> None:
    target = Target(at_least=1, at_most=1)

    assert [target.is_met_by(value) for value in (0, 1, 2)] == [False, True, False]


def test_what_grows_to_the_end_is_a_trend() -> None:
    growing = [100.0 + step for step in range(100)]

    assert MEMORY.rise(growing) > 50
    assert not MEMORY.holds_for(growing)


def test_what_grows_only_in_the_warm_up_is_none() -> None:
    warming = [min(200.0, 100.0 + 4 * step) for step in range(100)]

    assert MEMORY.rise(warming) == 0.0
    assert MEMORY.holds_for(warming)


def test_what_comes_and_goes_is_none() -> None:
    peaks = [100.0 if step % 10 else 400.0 for step in range(100)]

    assert MEMORY.holds_for(peaks)


def test_what_shrinks_is_none() -> None:
    assert MEMORY.holds_for([500.0 - step for step in range(100)])


def test_one_look_is_no_trend() -> None:
    assert MEMORY.holds_for([100.0])
