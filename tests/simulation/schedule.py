"""One seed: some processes, some questions, some requests, and what befalls them."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Final

from structlog.testing import capture_logs

from askonce.core.access import Asker, Caller
from askonce.core.caching import CacheRules
from askonce.core.landings import Asked as Outcome
from askonce.core.questions import Scope
from askonce.core.requests import Request
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.history import Asked, Given, History, Refused, RemovalAsked
from tests.simulation.hosts import Machine
from tests.simulation.kinds import EVENTS, FAULTY_SECONDS, Kind
from tests.simulation.provider import a_question
from tests.simulation.server import Parts, Server, Surroundings
from tests.simulation.themes import THEMES
from tests.simulation.world import World

_TENANT: Final = "default"
# Longer than anything takes that ends: a commit's patience, a deadline, a lease.
_PATIENCE_SECONDS: Final = 100.0
_LAST_TRIES: Final = 4


class Schedule:
    """Plays one seed and leaves its history."""

    def __init__(self, seed: int, parts: Parts) -> None:
        self.world = World(seed)
        self.history = History()
        random = self.world.random
        theme = random.choice(THEMES)
        self.disk = Disk(
            self.world, self.history, has_one_writer=random.random() < theme.one_writer_odds
        )
        self.faults = Faults(self.world, self.history, self.disk, theme)
        self._theme = theme
        self._around = Surroundings(
            world=self.world,
            history=self.history,
            disk=self.disk,
            faults=self.faults,
            theme=theme,
            ttl=timedelta(seconds=random.choice(theme.ttls)),
            trip_seconds=random.choice(theme.trips),
            parts=parts,
            calls=count(1),
        )
        self._questions = [a_question(i) for i in range(random.choice(theme.questions))]
        for number, question in enumerate(self._questions):
            self.disk.know(question.fingerprint(Scope(tenant=_TENANT)), number)
        self._machines = [Machine() for _ in range(random.choice([1, 2, 4]))]
        self._servers: list[Server] = []
        self._asked_last: Server | None = None
        self._names = count(1)
        self._requests = count(1)
        self._waiting: dict[int, Server] = {}
        self._given: list[int] = []

    def play(self) -> History:
        """Let everything happen."""
        with capture_logs():
            for number in range(self.world.random.choice(self._theme.servers)):
                self._start_server(self._machines[number % len(self._machines)])
            self._plan_requests()
            self._plan_faults()
            self.world.run(until=lambda: False, limit=FAULTY_SECONDS)
            self._heal()
            for number in range(len(self._questions)):
                self._ask_at_last(number)
            self._wait_for_all()
            for server in self._servers:
                server.stop()
        self.disk.take_stock()
        return self.history

    def _start_server(self, machine: Machine) -> Server:
        server = Server(f"p{next(self._names)}", machine, self._around)
        self._servers.append(server)
        return server

    def _living(self) -> list[Server]:
        return [server for server in self._servers if not server.is_dead]

    def _some_server(self) -> Server:
        living = self._living()
        if not living:
            return self._start_server(self.world.random.choice(self._machines))
        others = [server for server in living if server is not self._asked_last] or living
        self._asked_last = self.world.random.choice(others)
        return self._asked_last

    def _plan_requests(self) -> None:
        random, theme, begin = self.world.random, self._theme, 0.0
        for _ in range(random.choice(theme.requests)):
            begin += random.choice(theme.pauses) * random.random()
            number = random.randrange(len(self._questions))
            self.world.after(begin, partial(self._ask, number, self._rules()))
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
            for kind in self.faults.kinds:
                if kind in EVENTS and random.random() < 0.5:
                    at = random.random() * self._theme.fault_seconds
                    self.world.after(at, partial(self._befall, kind))

    def _befall(self, kind: Kind) -> None:
        server = self._some_server()
        self.faults.befall(server, kind)
        if server.is_dead:
            self.world.after(self.world.random.random(), partial(self._start_again, server))

    def _start_again(self, server: Server) -> None:
        if not self.faults.are_over:
            self._start_server(server.machine)

    def _heal(self) -> None:
        self.faults.end()
        for server in self._living():
            server.thaw()
            server.reconnect()
        if len(self._living()) < 2:
            self._start_server(self._machines[0])

    def _ask(self, number: int, rules: CacheRules) -> int:
        """Send a request to some process, and return the request's number."""
        request, server = next(self._requests), self._some_server()
        self._waiting[request] = server
        server.do(lambda: self._send(server, request, number, rules))
        return request

    def _send(self, server: Server, request: int, number: int, rules: CacheRules) -> None:
        kind = "no-cache" if rules.no_cache else "no-store" if rules.no_store else ""
        server.note(Asked(self.world.now, request, server.name, number, kind))

        def note(outcome: Outcome | BaseException) -> None:
            # Whoever asked a process that is dead by now hears nothing any more.
            if server.is_dead:
                return
            del self._waiting[request]
            if isinstance(outcome, BaseException):
                server.note(Refused(self.world.now, request, number, outcome))
                return
            analysis = outcome.analysis
            self._given.append(analysis.id)
            way, text = outcome.way.value, analysis.answer.text
            server.note(Given(self.world.now, request, number, way, analysis.id, text))

        server.ask_once.ask(
            Request.of(
                self._questions[number],
                Asker(tenant=_TENANT, user_id=f"user {request}"),
                Scope(tenant=_TENANT),
                rules=rules,
                is_streamed=request % 4 == 0,
            )
        ).add_done_callback(lambda done: note(done.exception() or done.result()))

    def _remove_something(self) -> None:
        """Delete an analysis, as `askonce.services.analyses.Analyses.remove` does."""
        if not self._given:
            return
        server, analysis_id = self._some_server(), self.world.random.choice(self._given)

        def remove() -> None:
            server.note(RemovalAsked(self.world.now, analysis_id))
            caller = Caller(tenant=_TENANT)
            server.ledger.write(lambda tx: tx.analyses.remove(caller, analysis_id))

        server.do(remove)

    def _ask_at_last(self, number: int) -> None:
        """Ask a question until it is answered, now that nothing is in the way.

        Who thaws may answer by a call of an epoch that is over. The flight of the newest one ends
        when somebody asks who has none.
        """
        given = len(self._given)
        for _ in range(_LAST_TRIES):
            request = self._ask(number, CacheRules(no_cache=True))
            self._run_until(partial(self._is_answered, request))
            if len(self._given) > given and number not in self.disk.running():
                return
        if len(self._given) == given:
            self.history.unanswerable.append(number)

    def _is_answered(self, request: int) -> bool:
        return request not in self._waiting

    def _wait_for_all(self) -> None:
        def is_quiet() -> bool:
            is_waited_for = any(not server.is_dead for server in self._waiting.values())
            return not is_waited_for and not any(
                one.recovery.has_parked() for one in self._living()
            )

        self._run_until(is_quiet)
        self.history.stuck = [
            request for request, server in self._waiting.items() if not server.is_dead
        ]

    def _run_until(self, is_over: Callable[[], bool]) -> None:
        self.world.run(until=is_over, limit=self.world.now + _PATIENCE_SECONDS)
