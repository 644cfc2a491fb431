"""One fault a round, drawn from a seed."""

import random
from collections.abc import Callable
from typing import Final

from tests.chaos.evidence import Times
from tests.chaos.fleet import Fleet, Running
from tests.chaos.stores import Store
from tests.stub.client import StubProvider

_PROVIDER_FAULTS: Final = (
    "500",
    "503",
    "529",
    "429",
    "429 retry-after=1",
    "reset",
    "cut",
    "cut-politely",
    "malformed",
    "html",
    "error-event",
    "slow=0.8",
    "slow=2.5",
)


class Faults:
    """Strikes replicas, database and provider."""

    def __init__(
        self, seed: int, *, fleet: Fleet, store: Store, stub: StubProvider, times: Times
    ) -> None:
        self._drawn = random.Random(f"{seed}/faults")
        self._fleet = fleet
        self._store = store
        self._stub = stub
        self._times = times

    def strike(self) -> str:
        """Let something go wrong, and say what."""
        ways: list[tuple[float, Callable[[], str]]] = [
            (14, self._kill),
            (2, self._kill_early),
            (9, lambda: self._freeze(self._drawn.uniform(0.05, self._times.lease))),
            (9, lambda: self._freeze(self._drawn.uniform(1.0, 2.0) * self._to_be_lost())),
            (9, lambda: self._store.disturb(self._drawn)),
            (20, self._spoil),
            (0.4, self._kill_all),
            (38, lambda: "nothing"),
        ]
        doings, odds = [doing for _, doing in ways], [often for often, _ in ways]
        return self._drawn.choices(doings, odds)[0]()

    def round_seconds(self) -> float:
        return self._drawn.uniform(0.1, 0.3)

    def _kill(self) -> str:
        victim = self._victim()
        self._fleet.kill(victim)
        return f"{victim.name} is killed"

    def _kill_early(self) -> str:
        starting = self._fleet.starting()
        if not starting:
            return "nobody is starting"
        victim = self._drawn.choice(starting)
        self._fleet.kill(victim)
        return f"{victim.name} is killed while it starts"

    def _kill_all(self) -> str:
        for replica in self._fleet.ready():
            self._fleet.kill(replica)
        return "all are killed"

    def _freeze(self, seconds: float) -> str:
        victim = self._victim()
        self._fleet.freeze(victim, seconds)
        return f"{victim.name} is frozen for {seconds:.2f} s"

    def _spoil(self) -> str:
        lines = self._drawn.choices(_PROVIDER_FAULTS, k=self._drawn.randint(1, 3))
        self._stub.will(*lines)
        return f"the provider will {', '.join(lines)}"

    def _victim(self) -> Running:
        """Return a replica whose fall leaves one at least that answers."""
        self._fleet.wait_for_awake(2)
        return self._drawn.choice(self._fleet.ready())

    def _to_be_lost(self) -> float:
        """Return for how long a leader must be silent to be replaced."""
        return self._times.lease + self._times.grace
