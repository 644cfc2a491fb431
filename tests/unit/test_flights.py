"""When a leader is given up: by its silence, on the waiter's own clock, in two steps."""

from dataclasses import dataclass, replace

import pytest

from askonce.core.flights import FlightState, LeaseTimes, Observation, Seen, Verdict

TIMES = LeaseTimes(heartbeat=1.0, lease=5.0)
RUNNING = Seen(
    epoch=1,
    fence=1,
    beat=0,
    state=FlightState.RUNNING,
    owner="one",
    takeovers=0,
    answer_id=None,
    stored_at=None,
    expires_at=None,
    failure=None,
)


@dataclass
class Watched:
    now: float = 100.0

    def __post_init__(self) -> None:
        self.observation = Observation(TIMES, lambda: self.now)

    def after(self, seconds: float, seen: Seen = RUNNING) -> Verdict:
        self.now += seconds
        return self.observation.judge(seen)


@pytest.fixture
def watched() -> Watched:
    watched = Watched()
    assert watched.after(0) is Verdict.WAIT
    return watched


def test_silence_for_the_whole_lease_asks_for_a_probe(watched: Watched) -> None:
    assert watched.after(4.9) is Verdict.WAIT
    assert watched.after(0.1) is Verdict.PROBE


def test_only_a_database_that_takes_writes_all_through_the_grace_proves_a_death(
    watched: Watched,
) -> None:
    assert watched.after(5.0) is Verdict.PROBE
    assert watched.after(10.0) is Verdict.PROBE
    watched.observation.probed()

    for _ in range(5):
        assert watched.after(0.4) is Verdict.WAIT
        assert watched.after(0.1) is Verdict.PROBE
        watched.observation.probed()
    assert watched.after(0.1) is Verdict.TAKE_OVER


def test_a_probe_that_came_late_starts_the_grace_anew(watched: Watched) -> None:
    assert watched.after(5.0) is Verdict.PROBE
    watched.observation.probed()

    assert watched.after(2.4) is Verdict.PROBE
    watched.observation.probed()

    assert watched.after(0.1) is Verdict.WAIT
    assert watched.after(0.4) is Verdict.PROBE


@pytest.mark.parametrize("sign", [replace(RUNNING, beat=1), replace(RUNNING, fence=2)])
def test_a_sign_of_life_starts_the_lease_anew(watched: Watched, sign: Seen) -> None:
    assert watched.after(5.0) is Verdict.PROBE
    watched.observation.probed()

    assert watched.after(2.4, sign) is Verdict.WAIT
    assert watched.after(4.9, sign) is Verdict.WAIT
    assert watched.after(0.1, sign) is Verdict.PROBE


def test_a_database_error_starts_the_observation_anew(watched: Watched) -> None:
    assert watched.after(5.0) is Verdict.PROBE
    watched.observation.probed()
    watched.observation.start_again()

    assert watched.after(60.0) is Verdict.WAIT
    assert watched.after(4.9) is Verdict.WAIT


def test_a_lost_host_is_replaced_within_ten_seconds() -> None:
    defaults = LeaseTimes()

    assert defaults.lease + defaults.grace < 10
