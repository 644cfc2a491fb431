"""What lives as long as one process of `askonce serve` does."""

import gc
import random
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial

from askonce.config import Settings
from askonce.core.access import Operator
from askonce.core.addresses import is_loopback
from askonce.core.caching import CLOCK_SKEW
from askonce.core.clock import Clock, SystemClock
from askonce.core.flights import LeaseTimes
from askonce.core.ports import Provider
from askonce.db.database import SqlDatabase
from askonce.db.ledger import GroupCommitLedger
from askonce.db.liveness import LockedFiles
from askonce.db.places import liveness_folder, spool_folder
from askonce.db.spool import FileSpool
from askonce.db.wiping import SqliteResidue
from askonce.http import app as http
from askonce.main.choices import configured_providers, default_models, default_provider, fallbacks
from askonce.main.operations import migration, retention
from askonce.providers import local
from askonce.providers.chain import ProviderChain
from askonce.providers.circuit import Circuits
from askonce.providers.prices import Prices
from askonce.providers.windows import ContextWindows
from askonce.services.access import Access
from askonce.services.analyses import Analyses
from askonce.services.ask_once import AskOnce
from askonce.services.booking import Reads
from askonce.services.bookkeeping import Books
from askonce.services.budgets import Budgets
from askonce.services.contexts import Contexts
from askonce.services.conversations import Conversations
from askonce.services.defaults import Defaults
from askonce.services.door import Door
from askonce.services.erasure import Erasure
from askonce.services.exports import Exports
from askonce.services.flying import Flying
from askonce.services.health import Health
from askonce.services.heartbeat import Heartbeat
from askonce.services.lane import Lane
from askonce.services.leading import Leader
from askonce.services.preferences import Preferences
from askonce.services.rate_limits import RateLimits
from askonce.services.recovery import Recovery
from askonce.services.sealing import Sealer, Sealing
from askonce.services.summaries import Summaries
from askonce.services.sweep import Sweep
from askonce.services.talks import Talks
from askonce.services.turns import Turns
from askonce.services.turnstile import Turnstile
from askonce.services.watch import Watch
from askonce.services.wiping import Wiping
from askonce.telemetry import log, requests, traces
from askonce.telemetry.meters import Level
from askonce.telemetry.metrics import PrometheusMeters

# Turns wait in them for short transactions, and for summaries, but not for replies.
_TURN_THREADS = 32
# After so many new objects garbage is looked for. Hardly any of ours is in cycles, and to look for
# it after 700, as Python does, takes a twentieth of the time of a hit.
_GARBAGE = 20_000


def assemble(
    settings: Settings, *, operator: Operator | None = None
) -> tuple[http.Application, "Process"]:
    """Return what `askonce serve` runs, or what a command runs for its operator alone.

    Raises:
        ConfigurationError: a setting cannot be followed.
    """
    _configure_telemetry(settings)
    return build(settings, providers=None, clock=SystemClock(), operator=operator)


def _configure_telemetry(settings: Settings) -> None:
    """Have logs and traces made as the settings say.

    Raises:
        ConfigurationError: traces are wanted, and what they need is not installed.
    """
    log.configure(settings.log_level, settings.log_format)
    salt = settings.log_salt
    requests.salt(None if salt is None else salt.get_secret_value())
    endpoint = settings.otlp_endpoint
    if settings.traces == "on" or (settings.traces == "auto" and endpoint is not None):
        traces.begin(endpoint)


def build(
    settings: Settings,
    *,
    providers: Mapping[str, Provider] | None,
    clock: Clock,
    operator: Operator | None = None,
) -> tuple[http.Application, "Process"]:
    """Return the application and the process behind it."""
    process = Process(settings, providers=providers, clock=clock, operator=operator)
    return http.create(process.parts), process


def request_ids() -> Callable[[], str]:
    """Return what makes ids that no two requests share; they are no secrets.

    Without a system call each: it would give the interpreter's lock to another thread.
    """
    bits = random.Random(secrets.randbits(256)).getrandbits  # as said # noqa: S311 # nosec B311
    return lambda: f"{bits(128):032x}"


class Process:
    """Everything that lives as long as one process does."""

    def __init__(
        self,
        settings: Settings,
        *,
        providers: Mapping[str, Provider] | None,
        clock: Clock,
        operator: Operator | None = None,
    ) -> None:
        owner = secrets.token_hex(16)
        self._migrate = migration(settings)
        self._is_for_one_command = operator is not None
        self.door = Door()
        self.providers = providers if providers is not None else configured_providers(settings)
        self._default = default_provider(settings, self.providers)
        models = default_models(settings, self.providers)
        self._fallbacks = fallbacks(settings, models)
        self.meters = PrometheusMeters(models.values())
        self.database = SqlDatabase(settings.database_url)
        self.ledger = GroupCommitLedger(self.database, meters=self.meters)
        self.liveness = LockedFiles(liveness_folder(self.database), owner)
        self.heartbeat = Heartbeat(self.ledger, owner=owner, seconds=settings.heartbeat)
        self.lane = Lane(slots=settings.max_calls, queue=settings.max_queue)
        self.watch = Watch(
            database=self.database,
            ledger=self.ledger,
            liveness=self.liveness,
            times=LeaseTimes(heartbeat=settings.heartbeat, lease=settings.lease),
            clock=clock,
        )
        self.circuits = Circuits(
            failures=settings.circuit_failures, seconds=settings.circuit_seconds, clock=clock
        )
        chain = ProviderChain(
            self.providers,
            fallbacks=self._fallbacks,
            circuits=self.circuits,
            max_tries=settings.max_tries,
            clock=clock,
            random=random.SystemRandom(),
            meters=self.meters,
        )
        cache_ttl = timedelta(seconds=settings.cache_ttl)
        spool = FileSpool(spool_folder(self.database, settings.spool))
        self.recovery = Recovery(
            database=self.database,
            ledger=self.ledger,
            spool=spool,
            liveness=self.liveness,
            clock=clock,
            owner=owner,
            cache_ttl=cache_ttl,
            given_up_after=timedelta(seconds=settings.deadline + settings.commit_patience)
            + CLOCK_SKEW,
        )
        self.budgets = Budgets(database=self.database, prices=Prices(settings.prices), clock=clock)
        self.leader = Leader(
            chain=chain,
            budgets=self.budgets,
            ledger=self.ledger,
            heartbeat=self.heartbeat,
            clock=clock,
            owner=owner,
            cache_ttl=cache_ttl,
            spool=spool,
            recovery=self.recovery,
            commit_patience=settings.commit_patience,
            meters=self.meters,
        )
        self.flying = flying = Flying(
            ledger=self.ledger,
            leader=self.leader,
            watch=self.watch,
            lane=self.lane,
            recovery=self.recovery,
            clock=clock,
            owner=owner,
            meters=self.meters,
        )
        ask_once = AskOnce(
            ledger=self.ledger,
            flying=flying,
            budgets=self.budgets,
            clock=clock,
            deadline_seconds=settings.deadline,
            limits=RateLimits(settings.rate_limit, clock) if settings.rate_limit else None,
            meters=self.meters,
        )
        self.sweep = Sweep(
            retention(settings, self.database, clock),
            seconds=settings.prune_interval,
            spread=random.SystemRandom().random,
        )
        self.health = Health(self.database)
        reads = Reads(self.ledger, clock)
        self.sealer = Sealer(
            Sealing(database=self.database, ledger=self.ledger, clock=clock),
            seconds=settings.audit_seal_interval,
            clock=clock,
        )
        defaults = Defaults(
            provider=self._default,
            models=models,
            fixed=frozenset({local.LocalProvider.name}),
            max_output_tokens=settings.max_output_tokens,
            fallbacks=tuple(self._fallbacks),
        )
        self.preferences = Preferences(
            database=self.database,
            ledger=self.ledger,
            defaults=defaults,
            reads=reads,
            clock=clock,
        )
        self.wiping = (
            Wiping(SqliteResidue(self.database), clock=clock) if self.database.is_sqlite else None
        )
        self.turnstile = Turnstile(
            ledger=self.ledger,
            watch=self.watch,
            heartbeat=self.heartbeat,
            recovery=self.recovery,
            clock=clock,
            owner=owner,
        )
        self.turn_lane = Lane(slots=_TURN_THREADS, queue=settings.max_queue)
        contexts = Contexts(database=self.database, ask_once=ask_once)
        talks = Talks(
            preferences=self.preferences,
            defaults=defaults,
            windows=ContextWindows(settings.context_tokens),
            is_scope_user=settings.cache_scope == "user",
        )
        self.access = Access(
            database=self.database,
            clock=clock,
            is_loopback=is_loopback(settings.host),
            operator=operator,
        )
        self.parts = http.Parts(
            access=self.access,
            ask_once=ask_once,
            analyses=Analyses(
                database=self.database,
                ledger=self.ledger,
                defaults=defaults,
                reads=reads,
                clock=clock,
                is_scope_user=settings.cache_scope == "user",
            ),
            conversations=Conversations(
                database=self.database,
                ledger=self.ledger,
                defaults=defaults,
                reads=reads,
                clock=clock,
            ),
            turns=Turns(
                ask_once=ask_once,
                contexts=contexts,
                turnstile=self.turnstile,
                talks=talks,
                database=self.database,
                ledger=self.ledger,
                lane=self.turn_lane,
                clock=clock,
                deadline_seconds=settings.deadline,
            ),
            summaries=Summaries(
                ask_once=ask_once,
                contexts=contexts,
                talks=talks,
                ledger=self.ledger,
                lane=self.turn_lane,
                clock=clock,
            ),
            preferences=self.preferences,
            erasure=Erasure(
                database=self.database,
                spool=spool,
                recovery=self.recovery,
                preferences=self.preferences,
                clock=clock,
            ),
            exports=Exports(database=self.database, reads=reads, clock=clock),
            books=Books(database=self.database, reads=reads),
            health=self.health,
            meters=self.meters,
            metrics=self.meters.shown,
            clock=clock,
            provider=self._default,
            model=models[self._default],
            is_limited=bool(settings.rate_limit),
            door=self.door,
            new_id=request_ids(),
            start=self.start,
            stop=self.stop,
        )
        self._watch_levels()

    def _watch_levels(self) -> None:
        """Have shown at /metrics what goes up and down here."""
        for level, read in {
            Level.FLIGHTS: self.flying.in_the_air,
            Level.SLOTS_IN_USE: self.lane.in_use,
            Level.SLOTS: self.lane.slots,
            Level.WAITING: self.lane.waiting,
            Level.LEDGER: self.ledger.waiting,
            Level.CONNECTIONS: self.database.connections_in_use,
            Level.MOST_CONNECTIONS: self.database.most_connections,
            Level.PARKED: self.recovery.parked,
            Level.SEALS: self.sealer.lag,
        }.items():
            self.meters.watch(level, read)
        for name in self.providers:
            self.meters.watch(
                Level.CIRCUITS, partial(self.circuits.count_open, name), provider=name
            )

    def start(self) -> None:
        """Migrate, look for what was left behind, then take requests."""
        self._migrate(self.database)
        self.meters.start()
        self.recovery.start()
        self.access.start()
        self.preferences.start()
        self.budgets.start()
        self.sweep.start()
        if self.wiping is not None:
            self.wiping.start()
        self.sealer.start()
        if not self._is_for_one_command:
            # An SDK takes seconds to import: better now than within somebody's first request.
            threading.Thread(target=self._warm, name="warm", daemon=True).start()
        self.door.open()

    def _warm(self) -> None:
        gc.set_threshold(_GARBAGE)
        for name in dict.fromkeys([self._default, *self._fallbacks]):
            warm = getattr(self.providers[name], "warm", None)
            if warm is not None:
                warm()
                # What is loaded by now stays. To look through all of it for garbage, every now and
                # then, would hold everything else up for 0.2 s.
                gc.freeze()

    def drain(self) -> None:
        """Take on nothing new; what is running goes on."""
        self.door.close()

    def hurry(self) -> None:
        """Let go of paid answers that cannot be committed: they are in the spool."""
        self.leader.hurry()

    def is_idle(self) -> bool:
        """Return whether nothing is being answered, asked or written here."""
        lanes_are_idle = self.lane.is_idle() and self.turn_lane.is_idle()
        return self.door.is_empty() and lanes_are_idle and self.turnstile.is_empty()

    def stop(self) -> None:
        """Finish the calls that are being paid for, write what waits, and go."""
        self.drain()
        self.hurry()
        self.sweep.close()
        if self.wiping is not None:
            self.wiping.close()
        self.lane.close()
        self.turn_lane.close()
        self.recovery.close()
        self.preferences.close()
        self.budgets.close()
        self.access.close()
        self.watch.close()
        self.heartbeat.close()
        self.sealer.close()
        self.ledger.close()
        self.health.close()
        for provider in self.providers.values():
            close = getattr(provider, "close", None)
            if close is not None:
                close()
        self.liveness.close()
        self.database.close()
        self.meters.close()
        traces.drain()
        log.drain()
