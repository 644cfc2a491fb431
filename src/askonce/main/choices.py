"""Who answers, as the settings say."""

from collections.abc import Mapping

from askonce.config import Settings
from askonce.core.errors import ConfigurationError
from askonce.core.ports import Provider
from askonce.providers import local
from askonce.providers.claude import ClaudeProvider
from askonce.providers.openai import OpenAIProvider
from askonce.providers.prices import Prices


def configured_providers(settings: Settings) -> dict[str, Provider]:
    """Return the providers that have what they need, the preferred one first."""
    prices = Prices(settings.prices)
    providers: dict[str, Provider] = {}
    if settings.anthropic_api_key is not None:
        providers["claude"] = ClaudeProvider(
            settings.anthropic_api_key.get_secret_value(),
            base_url=settings.anthropic_base_url,
            timeout=settings.provider_timeout,
            prices=prices,
        )
    if settings.openai_api_key is not None:
        providers["openai"] = OpenAIProvider(
            settings.openai_api_key.get_secret_value(),
            base_url=settings.openai_base_url,
            timeout=settings.provider_timeout,
            prices=prices,
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


def fallbacks(settings: Settings, models: Mapping[str, str]) -> dict[str, str]:
    """Return who is asked where another provider cannot answer, and with which model, in order.

    Raises:
        ConfigurationError: one of them is not configured.
    """
    for name in settings.fallbacks:
        if name not in models:
            message = f"ASKONCE_FALLBACKS names {name}, but that provider is not configured"
            raise ConfigurationError(message)
    return {name: models[name] for name in settings.fallbacks}


def check(settings: Settings) -> None:
    """See that somebody can answer.

    Raises:
        ConfigurationError: whoever is named as default or fallback is not configured.
    """
    providers = configured_providers(settings)
    default_provider(settings, providers)
    fallbacks(settings, default_models(settings, providers))
