"""A chain of fake providers, and the journal that it writes to."""

import random

from askonce.core.errors import LeaseLostError, ProviderError, ProviderUnavailableError
from askonce.providers.chain import ProviderChain
from askonce.providers.circuit import Circuits
from tests.fakes.clock import FakeClock
from tests.fakes.provider import FakeProvider


class FakeJournal:
    """Records what the chain writes; `lost_after` opens it lets no further call be made."""

    def __init__(self, lost_after: int = 99) -> None:
        self.lines: list[str] = []
        self._left = lost_after

    def open(self, provider: str, model: str) -> None:
        if not self._left:
            raise LeaseLostError
        self._left -= 1
        self.lines.append(f"open {provider} {model}")

    def failed(self, error: ProviderError) -> None:
        self.lines.append(f"failed {error.reason}")


class LongestWaits(random.Random):
    """Draws the largest number that may come."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


def a_chain(
    *providers: FakeProvider,
    clock: FakeClock,
    max_tries: int = 3,
    chance: random.Random | None = None,
    fallbacks: tuple[str, ...] = (),
    circuits: Circuits | None = None,
) -> ProviderChain:
    """Return a chain that waits as long as it may; a fallback's model is `<its name>-model`."""
    return ProviderChain(
        {provider.name: provider for provider in providers},
        fallbacks={name: f"{name}-model" for name in fallbacks},
        circuits=circuits or Circuits(failures=1000, seconds=30, clock=clock),
        max_tries=max_tries,
        clock=clock,
        random=chance or LongestWaits(),
    )


def unavailable(
    reason: str = "http-503",
    *,
    provider: str = "fake",
    retry_after: float | None = None,
    may_be_paid: bool = False,
) -> ProviderUnavailableError:
    """Return the error of a try that another one may cure."""
    return ProviderUnavailableError(
        provider, reason, retry_after=retry_after, may_be_paid=may_be_paid
    )
