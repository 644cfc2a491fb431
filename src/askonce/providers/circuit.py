"""Leave a provider alone that keeps failing: nobody waits for it, and it can recover."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from askonce.core.clock import Clock
from askonce.core.errors import ProviderCircuitOpenError, ProviderUnavailableError
from askonce.telemetry import log

# These say nothing of a provider's health: it asks us to slow down (408, 409, 429), it answers
# badly, which may lie in the question, or we ourselves are busy. Everything else is an illness:
# timeouts, no or a broken connection, 5xx.
_NO_ILLNESS: Final = frozenset(
    {"http-408", "http-409", "http-429", "rate-limited", "malformed", "empty", "busy"}
)
# Models are named by requests: no number of names may fill the memory.
_MOST_KEPT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCircuit:
    """A model that is left alone now; `seconds` are left until one call may try it, 0 at least."""

    provider: str
    model: str
    seconds: float


@dataclass(slots=True)
class _Circuit:
    """What is known of one model that has failed lately."""

    failures: int = 0
    closed_again_at: float | None = None
    # The one call that is let through to see whether the provider is well again.
    probe: object | None = None


class Circuits:
    """The circuit breakers of one process: one for each provider and model.

    One opens after `failures` failed calls in a row, and stays open for `seconds`. Then a single
    call is let through: its success closes the circuit, its failure opens it for as long again.
    """

    def __init__(self, *, failures: int, seconds: float, clock: Clock) -> None:
        self._failures = failures
        self._seconds = seconds
        self._clock = clock
        # Only those that failed since their last success.
        self._circuits: dict[tuple[str, str], _Circuit] = {}
        self._lock = threading.Lock()

    @contextmanager
    def call(self, provider: str, model: str) -> Iterator[None]:
        """Let a call through, and learn from how the block ends.

        Raises:
            ProviderCircuitOpenError: instead of running the block.
        """
        this = self._let_through(provider, model)
        try:
            yield
        except ProviderUnavailableError as error:
            if error.reason in _NO_ILLNESS:
                self._learned_nothing(provider, model, this)
            else:
                self._failed(provider, model, this)
            raise
        except BaseException:
            self._learned_nothing(provider, model, this)
            raise
        self._succeeded(provider, model)

    def refuses(self, provider: str, model: str) -> bool:
        """Return whether a call would not be let through now."""
        with self._lock:
            circuit = self._circuits.get((provider, model))
            return circuit is not None and self._seconds_left(circuit) is not None

    def open_now(self) -> Sequence[OpenCircuit]:
        """Return all models that are being left alone."""
        with self._lock:
            now = self._clock.monotonic()
            return [
                OpenCircuit(
                    provider=provider, model=model, seconds=max(0.0, circuit.closed_again_at - now)
                )
                for (provider, model), circuit in self._circuits.items()
                if circuit.closed_again_at is not None
            ]

    def count_open(self, provider: str) -> int:
        """Return how many models of a provider are being left alone."""
        return sum(circuit.provider == provider for circuit in self.open_now())

    def _let_through(self, provider: str, model: str) -> object:
        this = object()
        with self._lock:
            circuit = self._circuits.get((provider, model))
            if circuit is None or circuit.closed_again_at is None:
                return this
            left = self._seconds_left(circuit)
            if left is not None:
                raise ProviderCircuitOpenError(provider, retry_after=left)
            circuit.probe = this
            return this

    def _seconds_left(self, circuit: _Circuit) -> float | None:
        """Return for how long no call is let through; None where one is."""
        if circuit.closed_again_at is None:
            return None
        left = circuit.closed_again_at - self._clock.monotonic()
        if left <= 0 and circuit.probe is None:
            return None
        return max(0.0, left)

    def _failed(self, provider: str, model: str, this: object) -> None:
        with self._lock:
            circuit = self._known(provider, model)
            circuit.failures += 1
            is_probe = circuit.probe is this
            is_open = circuit.closed_again_at is not None
            # A call that began before the circuit opened tells nothing new.
            if is_open and not is_probe:
                return
            if not is_probe and circuit.failures < self._failures:
                return
            circuit.probe = None
            circuit.closed_again_at = self._clock.monotonic() + self._seconds
        log.warning("circuit_opened", provider=provider, model=model, seconds=self._seconds)

    def _succeeded(self, provider: str, model: str) -> None:
        with self._lock:
            circuit = self._circuits.pop((provider, model), None)
        if circuit is not None and circuit.closed_again_at is not None:
            log.info("circuit_closed", provider=provider, model=model)

    def _learned_nothing(self, provider: str, model: str, this: object) -> None:
        """Let the next call be the one that tries, where this one was."""
        with self._lock:
            circuit = self._circuits.get((provider, model))
            if circuit is not None and circuit.probe is this:
                circuit.probe = None

    def _known(self, provider: str, model: str) -> _Circuit:
        known = self._circuits.get((provider, model))
        if known is not None:
            return known
        if len(self._circuits) >= _MOST_KEPT:
            del self._circuits[next(iter(self._circuits))]
        return self._circuits.setdefault((provider, model), _Circuit())
