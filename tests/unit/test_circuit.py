"""The circuit breaker: when it opens, whom it lets through, and what closes it."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from askonce.core.errors import (
    InputTooLongError,
    LeaseLostError,
    ProviderCircuitOpenError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.providers.circuit import Circuits, OpenCircuit
from tests.fakes.chain import unavailable
from tests.fakes.clock import FakeClock

ILL = ["timeout", "connect", "cut", "server-error", "overloaded", "http-500", "http-529"]
NOT_ILL = ["http-408", "http-409", "http-429", "rate-limited", "malformed", "empty", "busy"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def circuits(clock: FakeClock) -> Circuits:
    return Circuits(failures=3, seconds=30, clock=clock)


def succeed(circuits: Circuits, model: str = "m") -> None:
    with circuits.call("fake", model):
        pass


def fail(
    circuits: Circuits, error: BaseException | None = None, *, times: int = 1, model: str = "m"
) -> None:
    error = error or unavailable()
    for _ in range(times):
        with pytest.raises(type(error)), circuits.call("fake", model):
            raise error


def refusal(circuits: Circuits) -> ProviderCircuitOpenError:
    with pytest.raises(ProviderCircuitOpenError) as caught, circuits.call("fake", "m"):
        pytest.fail("the call was let through")
    return caught.value


def test_lets_calls_through_until_so_many_have_failed_in_a_row(circuits: Circuits) -> None:
    fail(circuits, times=3)

    error = refusal(circuits)

    assert (error.provider, error.reason, error.retry_after) == ("fake", "circuit-open", 30)


def test_a_success_in_between_starts_the_count_anew(circuits: Circuits) -> None:
    fail(circuits, times=2)
    succeed(circuits)
    fail(circuits, times=2)

    assert not circuits.refuses("fake", "m")


@pytest.mark.parametrize("reason", ILL)
def test_counts_what_speaks_for_an_illness(circuits: Circuits, reason: str) -> None:
    fail(circuits, unavailable(reason), times=3)

    assert circuits.refuses("fake", "m")


@pytest.mark.parametrize(
    "error",
    [
        *(unavailable(reason) for reason in NOT_ILL),
        ProviderRejectedError("fake", "http-401"),
        InputTooLongError("fake", "input-too-long"),
        LeaseLostError(),
        GeneratorExit(),
    ],
    ids=repr,
)
def test_neither_counts_nor_forgets_for_anything_else(
    circuits: Circuits, error: BaseException
) -> None:
    fail(circuits, times=2)
    fail(circuits, error, times=9)
    is_open_before = circuits.refuses("fake", "m")
    fail(circuits)

    assert not is_open_before
    assert circuits.refuses("fake", "m")


def test_each_model_has_a_circuit_of_its_own(circuits: Circuits) -> None:
    fail(circuits, times=3)

    succeed(circuits, model="other")
    with circuits.call("another", "m"):
        pass


def test_lets_nothing_through_before_the_time_is_over(circuits: Circuits, clock: FakeClock) -> None:
    fail(circuits, times=3)
    clock.advance(29.5)

    assert refusal(circuits).retry_after == 0.5


def test_lets_exactly_one_call_through_when_the_time_is_over(
    circuits: Circuits, clock: FakeClock
) -> None:
    fail(circuits, times=3)
    clock.advance(30)

    with circuits.call("fake", "m"):
        others = [refusal(circuits).retry_after for _ in range(3)]

    assert others == [0, 0, 0]


def test_many_at_once_get_one_call_through(circuits: Circuits, clock: FakeClock) -> None:
    fail(circuits, times=3)
    clock.advance(30)
    at_once = threading.Barrier(8)

    def call() -> bool:
        at_once.wait()
        try:
            with circuits.call("fake", "m"):
                at_once.wait()
        except ProviderCircuitOpenError:
            at_once.wait()
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        let_through = [call.result() for call in [threads.submit(call) for _ in range(8)]]

    assert sum(let_through) == 1


def test_the_one_that_succeeds_closes_the_circuit(circuits: Circuits, clock: FakeClock) -> None:
    fail(circuits, times=3)
    clock.advance(30)
    succeed(circuits)
    fail(circuits, times=2)

    assert not circuits.refuses("fake", "m")


def test_the_one_that_fails_opens_it_for_the_full_time(
    circuits: Circuits, clock: FakeClock
) -> None:
    fail(circuits, times=3)
    clock.advance(100)
    fail(circuits)

    assert refusal(circuits).retry_after == 30


@pytest.mark.parametrize(
    "error", [unavailable("http-429"), ProviderRejectedError("fake", "http-400"), LeaseLostError()]
)
def test_the_one_that_tells_nothing_leaves_the_trying_to_the_next(
    circuits: Circuits, clock: FakeClock, error: ProviderError
) -> None:
    fail(circuits, times=3)
    clock.advance(30)
    fail(circuits, error)

    with circuits.call("fake", "m"):
        assert circuits.refuses("fake", "m")

    assert not circuits.refuses("fake", "m")


def test_a_call_that_began_before_does_not_prolong_the_time(
    circuits: Circuits, clock: FakeClock
) -> None:
    def opens_meanwhile() -> None:
        with circuits.call("fake", "m"):
            fail(circuits, times=3)
            clock.advance(20)
            raise unavailable("cut")

    with pytest.raises(ProviderUnavailableError):
        opens_meanwhile()

    assert refusal(circuits).retry_after == 10


def test_a_call_that_began_before_and_succeeds_closes_it(circuits: Circuits) -> None:
    with circuits.call("fake", "m"):
        fail(circuits, times=3)

    assert not circuits.refuses("fake", "m")


def test_shows_what_is_open(circuits: Circuits, clock: FakeClock) -> None:
    fail(circuits, times=2, model="nearly")
    fail(circuits, times=3)
    clock.advance(12)

    assert circuits.open_now() == [OpenCircuit(provider="fake", model="m", seconds=18)]


def test_no_number_of_models_fills_the_memory(circuits: Circuits) -> None:
    fail(circuits, times=2)
    for number in range(1000):
        fail(circuits, model=str(number))
    fail(circuits)

    assert not circuits.refuses("fake", "m")
