"""What `askonce batch --provider-batch` works with: one more process on the database."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

from askonce.config import Settings
from askonce.core.access import Caller, Operator
from askonce.core.clock import Clock, SystemClock
from askonce.core.keys import RANDOM_BYTES, digest_of
from askonce.main.process import Process
from askonce.providers.claude_batches import ClaudeBatches
from askonce.providers.openai_batches import OpenAIBatches
from askonce.providers.prices import Prices
from askonce.services.budgets import Budgets
from askonce.services.provider_batches import ProviderBatching
from askonce.telemetry import log

_TOKEN_BYTES = 12


@contextmanager
def provider_batching(settings: Settings, tenant: str) -> Iterator[ProviderBatching]:
    """Give what sends and collects batches of a tenant, in an up-to-date database.

    Raises:
        ConfigurationError: a setting cannot be followed.
        DatabaseUnavailableError: the database does not answer.
    """
    log.configure(settings.log_level, settings.log_format)
    clock = SystemClock()
    operator = Operator(tenant=tenant, digest=digest_of(secrets.token_bytes(RANDOM_BYTES)))
    process = Process(settings, providers=None, clock=clock, operator=operator)
    prices = Prices(settings.prices, is_batch=True)
    budgets = Budgets(database=process.database, prices=prices, clock=clock)
    vendors = _vendors(settings, prices, clock)
    process.start()
    try:
        budgets.start()
        yield ProviderBatching(
            database=process.database,
            ledger=process.ledger,
            liveness=process.liveness,
            analyses=process.parts.analyses,
            preferences=process.preferences,
            budgets=budgets,
            vendors=vendors,
            clock=clock,
            caller=Caller(tenant=tenant, request_id=f"batch-{process.owner}"),
            owner=process.owner,
            cache_ttl=timedelta(seconds=settings.cache_ttl),
            # It was marked before the first byte went out, and may have been killed behind the
            # last one; what was sent then is not under way for longer than a call may take.
            arrival=timedelta(seconds=_longest_send(vendors) + settings.provider_timeout),
            new_token=lambda: secrets.token_hex(_TOKEN_BYTES),
        )
    finally:
        budgets.close()
        for vendor in vendors.values():
            vendor.close()
        process.stop()


def _vendors(
    settings: Settings, prices: Prices, clock: Clock
) -> dict[str, ClaudeBatches | OpenAIBatches]:
    vendors: dict[str, ClaudeBatches | OpenAIBatches] = {}
    if settings.anthropic_api_key is not None:
        vendors["claude"] = ClaudeBatches(
            settings.anthropic_api_key.get_secret_value(),
            base_url=settings.anthropic_base_url,
            timeout=settings.provider_timeout,
            prices=prices,
            clock=clock,
        )
    if settings.openai_api_key is not None:
        vendors["openai"] = OpenAIBatches(
            settings.openai_api_key.get_secret_value(),
            base_url=settings.openai_base_url,
            timeout=settings.provider_timeout,
            prices=prices,
            clock=clock,
        )
    return vendors


def _longest_send(vendors: Mapping[str, ClaudeBatches | OpenAIBatches]) -> float:
    return max((vendor.longest_send for vendor in vendors.values()), default=0.0)
