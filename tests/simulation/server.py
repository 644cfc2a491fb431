"""A process of the product: its own services, put together as in `main.process`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Final

from askonce.core.caching import CLOCK_SKEW
from askonce.core.flights import LeaseTimes
from askonce.db.analyses import SqlAnalyses
from askonce.db.flights import SqlFlights
from askonce.providers.prices import Prices
from askonce.services.ask_once import AskOnce
from askonce.services.budgets import Budgets
from askonce.services.flying import Flying
from askonce.services.leading import Leader
from tests.simulation.database import SimulatedDatabase
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.history import History
from tests.simulation.hosts import Machine, MachineLiveness, MachineSpool
from tests.simulation.kinds import HEARTBEAT, LEASE
from tests.simulation.parts import (
    SimulatedHeartbeat,
    SimulatedLane,
    SimulatedLedger,
    SimulatedRecovery,
    SimulatedWatch,
)
from tests.simulation.process import Process
from tests.simulation.provider import JournalledChain, SimulatedProvider
from tests.simulation.themes import Theme
from tests.simulation.world import World

# As the product's defaults, all five times as fast.
DEADLINE_SECONDS: Final = 12.0
COMMIT_PATIENCE_SECONDS: Final = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a planted bug replaces."""

    flights: type[SqlFlights] = SqlFlights
    analyses: type[SqlAnalyses] = SqlAnalyses
    watch: type[SimulatedWatch] = SimulatedWatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all processes of a schedule have in common."""

    world: World
    history: History
    disk: Disk
    faults: Faults
    theme: Theme
    ttl: timedelta
    trip_seconds: float
    parts: Parts
    calls: "count[int]"


class Server(Process):
    """One running process, on a machine."""

    def __init__(self, name: str, machine: Machine, around: Surroundings) -> None:
        super().__init__(name, around.world, around.history)
        self.machine: Final = machine
        self.is_ready = False
        self._when_ready: list[Callable[[], None]] = []
        machine.processes.append(self)
        liveness = MachineLiveness(machine)
        spool = MachineSpool(self, machine, around.faults)
        database = SimulatedDatabase(
            self,
            around.disk,
            around.faults,
            trip_seconds=around.trip_seconds,
            flights_type=around.parts.flights,
            analyses_type=around.parts.analyses,
        )
        self.ledger: Final = SimulatedLedger(self, database)
        provider = SimulatedProvider(
            self,
            around.disk,
            around.faults,
            numbers=around.calls,
            seconds=around.theme.calls,
        )
        self.recovery: Final = SimulatedRecovery(
            database=database,
            ledger=self.ledger,
            spool=spool,
            liveness=liveness,
            clock=self.clock,
            owner=name,
            cache_ttl=around.ttl,
            given_up_after=timedelta(seconds=DEADLINE_SECONDS + COMMIT_PATIENCE_SECONDS)
            + CLOCK_SKEW,
        )
        # Nobody has set one: none is looked for.
        budgets = Budgets(database=database, prices=Prices(), clock=self.clock)
        leader = Leader(
            chain=JournalledChain(self, provider),
            budgets=budgets,
            ledger=self.ledger,
            heartbeat=SimulatedHeartbeat(self, self.ledger, seconds=HEARTBEAT),
            clock=self.clock,
            owner=name,
            cache_ttl=around.ttl,
            spool=spool,
            recovery=self.recovery,
            commit_patience=COMMIT_PATIENCE_SECONDS,
        )
        flying = Flying(
            ledger=self.ledger,
            leader=leader,
            watch=around.parts.watch(
                self,
                database,
                self.ledger,
                liveness=liveness,
                times=LeaseTimes(heartbeat=HEARTBEAT, lease=LEASE),
            ),
            lane=SimulatedLane(self, slots=64),
            recovery=self.recovery,
            clock=self.clock,
            owner=name,
        )
        self.ask_once: Final = AskOnce(
            ledger=self.ledger,
            flying=flying,
            budgets=budgets,
            clock=self.clock,
            deadline_seconds=DEADLINE_SECONDS,
        )
        self.recovery.live(self, self._open)

    def do(self, action: Callable[[], None]) -> None:
        """Do something as soon as this process takes requests."""
        if self.is_ready:
            self.world.soon(action, self)
        else:
            self._when_ready.append(action)

    def _open(self) -> None:
        self.is_ready = True
        for action in self._when_ready:
            self.world.soon(action, self)
