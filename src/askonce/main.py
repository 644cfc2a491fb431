"""The composition root: builds everything from Settings, and decides nothing."""

import os
import random
import secrets
import tempfile
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from askonce.config import Settings, load_settings
from askonce.core.clock import Clock, SystemClock
from askonce.core.errors import ConfigurationError
from askonce.core.flights import LeaseTimes
from askonce.core.ports import Provider
from askonce.db import migrating
from askonce.db.database import SqlDatabase
from askonce.db.ledger import GroupCommitLedger
from askonce.db.liveness import LockedFiles
from askonce.http import app as http
from askonce.providers import local
from askonce.providers.chain import ProviderChain
from askonce.providers.claude import ClaudeProvider
from askonce.providers.openai import OpenAIProvider
from askonce.providers.prices import Prices
from askonce.services.analyses import Analyses, Defaults
from askonce.services.ask_once import AskOnce
from askonce.services.flying import Flying
from askonce.services.health import Health
from askonce.services.heartbeat import Heartbeat
from askonce.services.lane import Lane
from askonce.services.leading import Leader
from askonce.services.watch import Watch
from askonce.telemetry import log


def serve_app() -> http.Application:
    """Return the application as the environment configures it; `askonce serve` runs it.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    settings = load_settings()
    log.configure(settings.log_level)
    return create_app(settings)


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema.

    Raises:
        ConfigurationError: the database URL is not one that can be used.
        DatabaseUnavailableError: the database does not answer.
    """
    database = SqlDatabase(settings.database_url, pool_size=1)
    try:
        migrating.upgrade(database)
    finally:
        database.close()


def create_app(
    settings: Settings,
    *,
    providers: Mapping[str, Provider] | None = None,
    clock: Clock | None = None,
) -> http.Application:
    """Return the application. Tests give `providers` of their own, and a `clock`.

    Raises:
        ConfigurationError: no provider is configured, or the default one is not.
    """
    app, _ = build(settings, providers=providers, clock=clock or SystemClock())
    return app


def build(
    settings: Settings, *, providers: Mapping[str, Provider] | None, clock: Clock
) -> tuple[http.Application, "Process"]:
    """Return the application and the process behind it."""
    process = Process(settings, providers=providers, clock=clock)
    return http.create(process.parts), process


class Process:
    """Everything that lives as long as one process does."""

    def __init__(
        self, settings: Settings, *, providers: Mapping[str, Provider] | None, clock: Clock
    ) -> None:
        owner = secrets.token_hex(16)
        self.providers = providers if providers is not None else configured_providers(settings)
        self._default = default_provider(settings, self.providers)
        self.database = SqlDatabase(settings.database_url)
        self.ledger = GroupCommitLedger(self.database)
        self.liveness = LockedFiles(_liveness_folder(self.database), owner)
        self.heartbeat = Heartbeat(self.ledger, owner=owner, seconds=settings.heartbeat)
        self.lane = Lane(slots=settings.max_calls, queue=settings.max_queue)
        self.watch = Watch(
            database=self.database,
            ledger=self.ledger,
            liveness=self.liveness,
            times=LeaseTimes(heartbeat=settings.heartbeat, lease=settings.lease),
            clock=clock,
        )
        chain = ProviderChain(
            self.providers, max_tries=settings.max_tries, clock=clock, random=random.SystemRandom()
        )
        leader = Leader(
            chain=chain,
            ledger=self.ledger,
            heartbeat=self.heartbeat,
            clock=clock,
            owner=owner,
            cache_ttl=timedelta(seconds=settings.cache_ttl),
            most_calls=settings.max_tries,
        )
        flying = Flying(
            ledger=self.ledger,
            leader=leader,
            watch=self.watch,
            lane=self.lane,
            clock=clock,
            owner=owner,
        )
        ask_once = AskOnce(
            ledger=self.ledger, flying=flying, clock=clock, deadline_seconds=settings.deadline
        )
        self.health = Health(self.database)
        models = default_models(settings, self.providers)
        self.parts = http.Parts(
            analyses=Analyses(
                ask_once=ask_once,
                database=self.database,
                ledger=self.ledger,
                defaults=Defaults(
                    provider=self._default,
                    models=models,
                    fixed=frozenset({local.LocalProvider.name}),
                    max_output_tokens=settings.max_output_tokens,
                ),
                is_scope_user=settings.cache_scope == "user",
            ),
            health=self.health,
            clock=clock,
            provider=self._default,
            model=models[self._default],
            is_ready=lambda: self._is_ready,
            new_id=lambda: secrets.token_hex(16),
            start=self.start,
            stop=self.stop,
        )
        self._is_ready = False

    def start(self) -> None:
        """Migrate, then take requests."""
        migrating.upgrade(self.database)
        # An SDK takes seconds to import: better now than within somebody's first request.
        warm = getattr(self.providers[self._default], "warm", None)
        if warm is not None:
            threading.Thread(target=warm, name="warm", daemon=True).start()
        self._is_ready = True

    def stop(self) -> None:
        """Finish the calls that are being paid for, write what waits, and go."""
        self._is_ready = False
        self.lane.close()
        self.watch.close()
        self.heartbeat.close()
        self.ledger.close()
        self.health.close()
        for provider in self.providers.values():
            close = getattr(provider, "close", None)
            if close is not None:
                close()
        self.liveness.close()
        self.database.close()


def configured_providers(settings: Settings) -> dict[str, Provider]:
    """Return the providers that have what they need, the preferred one first."""
    prices = Prices(None)
    providers: dict[str, Provider] = {}
    if settings.anthropic_api_key is not None:
        providers["claude"] = ClaudeProvider(
            settings.anthropic_api_key.get_secret_value(),
            base_url=settings.anthropic_base_url,
            timeout=settings.provider_timeout,
            prices=prices,
            max_connections=settings.max_calls,
        )
    if settings.openai_api_key is not None:
        providers["openai"] = OpenAIProvider(
            settings.openai_api_key.get_secret_value(),
            base_url=settings.openai_base_url,
            timeout=settings.provider_timeout,
            prices=prices,
            max_connections=settings.max_calls,
        )
    if local.is_installed():
        providers["local"] = local.LocalProvider()
    return providers


def default_provider(settings: Settings, providers: Mapping[str, Provider]) -> str:
    """Return the provider of requests that name none.

    Raises:
        ConfigurationError: it is not configured.
    """
    if not providers:
        message = (
            "ANTHROPIC_API_KEY, OPENAI_API_KEY: set one of them, or install the embedded model"
        )
        raise ConfigurationError(message)
    if settings.provider is None:
        return next(iter(providers))
    if settings.provider not in providers:
        message = f"ASKONCE_PROVIDER={settings.provider}, but that provider is not configured"
        raise ConfigurationError(message)
    return settings.provider


def default_models(settings: Settings, providers: Mapping[str, Provider]) -> dict[str, str]:
    """Return the model of each configured provider for requests that name none."""
    models = {
        "claude": settings.claude_model,
        "openai": settings.openai_model,
        "local": local.LOCAL_MODEL,
    }
    return {name: models.get(name, name) for name in providers}


def _liveness_folder(database: SqlDatabase) -> Path:
    """Return where the processes of this host that share a database hold their locks."""
    if database.is_sqlite:
        return database.path_beside(".live")
    return Path(tempfile.gettempdir()) / f"askonce-{os.getuid()}"
