"""A thousand seeded schedules of the flight protocol, none of which breaks a promise."""

import pytest

from tests.simulation.accountant import violations
from tests.simulation.schedule import Schedule
from tests.simulation.server import Parts

SEEDS = range(1000)
_SLICE = 100


def broken_promises(seed: int) -> list[str]:
    return [
        f"{violation}\n    python -m tests.simulation --seed {seed} --trace"
        for violation in violations(Schedule(seed, Parts()).play())
    ]


@pytest.mark.parametrize("first", SEEDS[::_SLICE])
def test_no_schedule_breaks_a_promise(first: int) -> None:
    found = [broken for seed in range(first, first + _SLICE) for broken in broken_promises(seed)]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_a_seed_is_played_the_same_way_each_time(seed: int) -> None:
    first = Schedule(seed, Parts()).play()
    second = Schedule(seed, Parts()).play()

    assert str(first) == str(second)
