"""A simulation that finds nothing proves nothing: each known bug, planted, is found."""

import pytest

from tests.simulation.accountant import violations
from tests.simulation.planted import PLANTED
from tests.simulation.schedule import Schedule
from tests.simulation.server import Parts

ENOUGH_SEEDS = 500


@pytest.mark.parametrize("parts", PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_bug_is_found(parts: Parts) -> None:
    seeds = range(ENOUGH_SEEDS)

    assert any(violations(Schedule(seed, parts).play()) for seed in seeds)
