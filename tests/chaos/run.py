"""One run: a fleet under fire for a number of rounds, then the evidence."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from askonce.core.flights import LeaseTimes
from tests.chaos.asking import Records
from tests.chaos.evidence import NO_STORE, Call, Evidence, Times
from tests.chaos.faults import Faults
from tests.chaos.fleet import Fleet
from tests.chaos.questions import SETTINGS, fingerprint_of, scope_of
from tests.chaos.settling import Settling, warm_up
from tests.chaos.stopwatch import Stopwatch
from tests.chaos.stores import Store, store
from tests.chaos.tables import tables
from tests.chaos.traffic import Client, Topics
from tests.stub.client import StubProvider

_CLIENTS: Final = 12
# Short, so that a run meets them often; long enough for a busy machine.
TIMES: Final = Times(
    heartbeat=0.2, lease=1.0, grace=LeaseTimes(heartbeat=0.2, lease=1.0).grace, max_tries=3
)
_SETTINGS: Final = {
    **SETTINGS,
    "ASKONCE_HEARTBEAT": str(TIMES.heartbeat),
    "ASKONCE_LEASE": str(TIMES.lease),
    "ASKONCE_MAX_TRIES": str(TIMES.max_tries),
    "ASKONCE_PROVIDER_TIMEOUT": "1.5",
    "ASKONCE_DEADLINE": "6",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be run."""

    database: str
    rounds: int
    seed: int
    processes: int = 3


def run(plan: Plan, folder: Path, *, say: Callable[[str], None]) -> Evidence:
    """Run the plan in an empty folder; `say` is told what happens."""
    watch = Stopwatch()
    with StubProvider() as stub, store(plan.database, folder, watch) as database:
        records = Records(watch)
        settings = {
            **_SETTINGS,
            "ASKONCE_DATABASE_URL": database.url,
            "OPENAI_BASE_URL": stub.openai_url,
        }
        fleet = Fleet(
            folder,
            settings,
            plan.processes,
            watch=watch,
            warm_up=lambda replica: warm_up(replica, records),
        )
        scene = _Scene(plan, watch, stub, database, fleet, records, say)
        try:
            fleet.start()
            scene.play()
            say("all faults are over")
            stuck = Settling(fleet, database, stub, records).stuck()
            watch.check()
            return scene.evidence(tuple(stuck))
        finally:
            fleet.stop()


@dataclass(slots=True)
class _Scene:
    plan: Plan
    watch: Stopwatch
    stub: StubProvider
    database: Store
    fleet: Fleet
    records: Records
    say: Callable[[str], None]
    _faults: list[tuple[float, str]] = field(default_factory=list)

    def play(self) -> None:
        """Let clients ask while one thing after another goes wrong; then heal everything."""
        topics = Topics(self.plan.seed)
        clients = [
            Client(number, fleet=self.fleet, topics=topics, records=self.records)
            for number in range(_CLIENTS)
        ]
        for client in clients:
            client.start()
        try:
            self._rounds(topics)
        finally:
            self.database.heal()
            self.fleet.heal()
            for client in clients:
                client.stop()
            for client in clients:
                client.join()

    def evidence(self, stuck: tuple[str, ...]) -> Evidence:
        """Return everything that was seen, and what the tables hold now."""
        requests = sorted(self.records.requests, key=lambda request: request.number)
        private = {
            scope_of(one.key): one
            for one in requests
            if one.rules == NO_STORE and one.key is not None
        }
        kept = tables(self.database.url, self.watch)
        return Evidence(
            times=TIMES,
            topics={
                **{fingerprint_of(one.text): one.text for one in requests},
                **{fingerprint: one.text for fingerprint, one in private.items()},
            },
            private={fingerprint: str(one.key) for fingerprint, one in private.items()},
            requests=tuple(requests),
            removals=tuple(sorted(self.records.removals, key=lambda removal: removal.sent)),
            replicas=self.fleet.records(),
            # Who is killed while it sends may not come to its question.
            calls=tuple(_call(call, self.watch) for call in self.stub.calls() if call["body"]),
            attempts=kept.attempts,
            answers=kept.answers,
            analyses=kept.analyses,
            flights=kept.flights,
            faults=tuple(self._faults),
            outages=tuple(self.database.outages),
            damage=kept.damage,
            stuck=stuck,
        )

    def _rounds(self, topics: Topics) -> None:
        faults = Faults(
            self.plan.seed,
            fleet=self.fleet,
            store=self.database,
            stub=self.stub,
            times=TIMES,
        )
        for number in range(1, self.plan.rounds + 1):
            # A round in which nobody answers would prove nothing.
            self.fleet.wait_for_awake(1)
            topics.round = number
            began = self.watch.now()
            what = faults.strike()
            self._faults.append((began, what))
            self.say(f"{number}: {what}")
            time.sleep(faults.round_seconds())


def _call(seen: dict[str, Any], watch: Stopwatch) -> Call:
    return Call(
        number=seen["number"],
        replica=seen["headers"]["authorization"].removeprefix("Bearer "),
        provider="openai",
        text=_asked(seen["body"]["input"]),
        mode=str(seen["mode"]),
        began=watch.of_wall(seen["started"]),
    )


def _asked(messages: Any) -> str:
    if isinstance(messages, str):
        return messages
    content = messages[-1]["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)
