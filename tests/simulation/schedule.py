"""One seed: some processes, some questions, some requests, and what befalls them."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Final

from structlog.testing import capture_logs

from askonce.core.access import Asker, Caller
from askonce.core.caching import CacheRules
from askonce.core.flights import LeaseTimes
from askonce.core.landings import Asked as Outcome
from askonce.core.questions import Question, Scope
from askonce.db.analyses import SqlAnalyses
from askonce.db.flights import SqlFlights
from askonce.providers.chain import ProviderChain
from askonce.services.ask_once import AskOnce, Request
from askonce.services.flying import Flying
from askonce.services.leading import Leader
from tests.simulation.database import Disk, SimulatedDatabase
from tests.simulation.faults import FAULTY_SECONDS, HEARTBEAT, LEASE, Faults, Kind
from tests.simulation.history import Asked, Given, History, Noted, Refused, RemovalAsked
from tests.simulation.parts import (
    SimulatedHeartbeat,
    SimulatedLane,
    SimulatedLedger,
    SimulatedWatch,
)
from tests.simulation.process import Process
from tests.simulation.provider import NAME, JournalledChain, SimulatedProvider
from tests.simulation.world import World

TENANT: Final = "default"
DEADLINE_SECONDS: Final = 10.0
# Longer than anything takes that ends: a commit's patience, a lease, a deadline.
_PATIENCE_SECONDS: Final = 200.0
_LAST_TRIES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a planted bug replaces."""

    flights: type[SqlFlights] = SqlFlights
    analyses: type[SqlAnalyses] = SqlAnalyses
    watch: type[SimulatedWatch] = SimulatedWatch


class Server(Process):
    """A process of the product: its own services, as `askonce.main.Process` puts them together."""

    def __init__(self, name: str, schedule: "Schedule", parts: Parts) -> None:
        super().__init__(name, schedule.world, schedule.history)
        world = schedule.world
        database = SimulatedDatabase(
            self,
            schedule.disk,
            schedule.faults,
            flights_type=parts.flights,
            analyses_type=parts.analyses,
        )
        self.ledger = SimulatedLedger(self, database)
        heartbeat = SimulatedHeartbeat(self, self.ledger, seconds=HEARTBEAT)
        watch = parts.watch(
            self,
            database,
            self.ledger,
            is_dead=schedule.is_known_dead,
            times=LeaseTimes(heartbeat=HEARTBEAT, lease=LEASE),
        )
        provider = SimulatedProvider(self, schedule.disk, schedule.faults, schedule.calls)
        chain = ProviderChain({NAME: provider}, max_tries=3, clock=self.clock, random=world.random)
        leader = Leader(
            chain=JournalledChain(chain, provider),
            ledger=self.ledger,
            heartbeat=heartbeat,
            clock=self.clock,
            owner=name,
            cache_ttl=schedule.ttl,
        )
        flying = Flying(
            ledger=self.ledger,
            leader=leader,
            watch=watch,
            lane=SimulatedLane(self, slots=64),
            clock=self.clock,
            owner=name,
        )
        self.ask_once = AskOnce(
            ledger=self.ledger,
            flying=flying,
            clock=self.clock,
            deadline_seconds=DEADLINE_SECONDS,
        )


class Schedule:
    """Plays one seed and leaves its history."""

    def __init__(self, seed: int, parts: Parts) -> None:
        self.world = World(seed)
        self.history = History()
        self.faults = Faults(self.world, self.history)
        random = self.world.random
        self.disk = Disk(self.world, self.history, has_one_writer=random.random() < 0.6)
        self.calls = count(1)
        self.ttl = timedelta(seconds=random.choice([2, 86_400]))
        self._parts = parts
        self._knows_deaths = random.random() < 0.3
        self._questions = [self._question(number) for number in range(random.choice([1, 1, 1, 2]))]
        self._servers: list[Server] = []
        self._names = count(1)
        self._requests = count(1)
        self._waiting: dict[int, Server] = {}
        self._given: list[int] = []

    def play(self) -> History:
        """Let everything happen."""
        for _ in range(self.world.random.choice([2, 2, 3, 4])):
            self._start_server()
        self._plan_requests()
        self._plan_faults()
        with capture_logs():
            self.world.run(until=lambda: False, limit=FAULTY_SECONDS)
            self._heal()
            for number in range(len(self._questions)):
                self._ask_at_last(number)
            self._wait_for_all()
            for server in self._servers:
                server.stop()
        self.disk.take_stock()
        return self.history

    def is_known_dead(self, name: str) -> bool:
        """Return what this host's kernel says of a process."""
        return self._knows_deaths and any(
            server.is_dead for server in self._servers if server.name == name
        )

    def _question(self, number: int) -> Question:
        question = Question(text=str(number), provider=NAME, model="m", max_output_tokens=1)
        self.disk.know(question.fingerprint(Scope(tenant=TENANT)), number)
        return question

    def _start_server(self) -> Server:
        server = Server(f"p{next(self._names)}", self, self._parts)
        self._servers.append(server)
        return server

    def _plan_requests(self) -> None:
        random = self.world.random
        begin = 0.0
        for _ in range(random.choice([3, 4, 5, 6])):
            # Some come together, some long after the others.
            begin += random.choice([0.0, 0.0, 0.05, 0.5, 1.5]) * random.random()
            self.world.after(begin, partial(self._ask_somewhere, self._rules()))
        if Kind.REMOVAL in self.faults.kinds:
            for _ in range(random.choice([1, 2, 3])):
                self.world.after(random.random() * FAULTY_SECONDS, self._remove_something)

    def _rules(self) -> CacheRules:
        chance = self.world.random.random()
        if Kind.NO_CACHE in self.faults.kinds and chance < 0.4:
            return CacheRules(no_cache=True)
        if Kind.NO_STORE in self.faults.kinds and chance > 0.7:
            return CacheRules(no_store=True)
        return CacheRules()

    def _plan_faults(self) -> None:
        random = self.world.random
        for _ in range(random.choice([1, 2, 3])):
            for kind in sorted(self.faults.kinds, key=lambda kind: kind.value):
                if random.random() < 0.5:
                    self.world.after(
                        random.random() * FAULTY_SECONDS * 0.7, partial(self._befall, kind)
                    )

    def _befall(self, kind: Kind) -> None:
        seconds = self.faults.duration()
        if kind is Kind.OUTAGE:
            self.faults.note(f"the database is away for {seconds:.2f}")
            self.disk.is_away = True
            self.world.after(seconds, self._bring_back)
        elif kind is Kind.READ_ONLY:
            self.faults.note(f"the database takes no writes for {seconds:.2f}")
            self.disk.is_read_only = True
            self.world.after(seconds, self._make_writable)
        elif kind is Kind.STALL:
            self.faults.note(f"somebody else holds the write lock for {seconds:.2f}")
            self.disk.stall(seconds)
        else:
            living = self._living()
            if living:
                self.faults.befall(self.world.random.choice(living), kind)

    def _bring_back(self) -> None:
        self.disk.is_away = False

    def _make_writable(self) -> None:
        self.disk.is_read_only = False

    def _heal(self) -> None:
        """End all faults; what is wrong with the clocks stays wrong."""
        self.faults.are_over = True
        self.faults.note("all faults are over")
        self._bring_back()
        self._make_writable()
        self.disk.end_stall()
        for server in self._living():
            server.thaw()
            server.reconnect()
        if len(self._living()) < 2:
            self._start_server()

    def _living(self) -> list[Server]:
        return [server for server in self._servers if not server.is_dead]

    def _ask_somewhere(self, rules: CacheRules) -> None:
        living = self._living()
        if not living:
            living = [self._start_server()]
        server = self.world.random.choice(living)
        number = self.world.random.randrange(len(self._questions))
        request = next(self._requests)
        self._waiting[request] = server
        self.world.soon(partial(self._ask, server, request, number, rules), server)

    def _ask(self, server: Server, request: int, number: int, rules: CacheRules) -> None:
        kind = "no-cache" if rules.no_cache else "no-store" if rules.no_store else ""
        server.note(Asked(self.world.now, request, server.name, number, kind))
        future = server.ask_once.ask(
            Request(
                question=self._questions[number],
                asker=Asker(tenant=TENANT, user_id=f"user {request}"),
                scope=Scope(tenant=TENANT),
                rules=rules,
            )
        )

        def note(outcome: "Outcome | BaseException") -> None:
            if server.is_dead:
                return
            self._waiting.pop(request, None)
            if isinstance(outcome, BaseException):
                server.note(Refused(self.world.now, request, number, outcome))
                return
            self._given.append(outcome.analysis.id)
            server.note(
                Given(
                    self.world.now,
                    request,
                    number,
                    outcome.way.value,
                    outcome.analysis.id,
                    outcome.analysis.answer.text,
                )
            )

        future.add_done_callback(lambda done: note(done.exception() or done.result()))

    def _remove_something(self) -> None:
        """Delete an analysis, as `askonce.services.analyses.Analyses.remove` does."""
        living = self._living()
        if not self._given or not living:
            return
        server = self.world.random.choice(living)
        analysis_id = self.world.random.choice(self._given)
        caller = Caller(tenant=TENANT)

        def remove() -> None:
            server.note(RemovalAsked(self.world.now, analysis_id))
            server.ledger.write(lambda tx: tx.analyses.remove(caller, analysis_id))

        self.world.soon(remove, server)

    def _ask_at_last(self, number: int) -> None:
        """Ask a question until it is answered, now that nothing is in the way."""
        for _ in range(_LAST_TRIES):
            request = next(self._requests)
            server = self.world.random.choice(self._living())
            self._waiting[request] = server
            before = len(self._given)
            self._ask(server, request, number, CacheRules(no_cache=True))
            if not self.world.run(
                until=lambda: request not in self._waiting,
                limit=self.world.now + _PATIENCE_SECONDS,
            ):
                return
            if len(self._given) > before:
                return
        self.history.unanswerable.append(number)

    def _wait_for_all(self) -> None:
        def nobody_waits() -> bool:
            return all(server.is_dead for server in self._waiting.values())

        self.world.run(until=nobody_waits, limit=self.world.now + _PATIENCE_SECONDS)
        self.history.stuck = [
            request for request, server in self._waiting.items() if not server.is_dead
        ]
