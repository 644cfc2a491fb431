"""Looks whether providers can be asked, without asking them anything that costs."""

import time
from typing import TYPE_CHECKING, Any, Final

from askonce.cli.findings import Finding, Findings, bad, doubtful, good
from askonce.core.clock import Deadline, SystemClock
from askonce.core.errors import ConfigurationError, ProviderError, ProviderRejectedError

if TYPE_CHECKING:
    from askonce.config import Settings
    from askonce.core.ports import Provider

_SECONDS = 10.0
_VARIABLES: Final = {"claude": "ANTHROPIC", "openai": "OPENAI"}
_REFUSED = frozenset({"http-401", "http-403"})
_NOT_FOUND = "http-404"


def examine(settings: "Settings") -> Findings:
    """Yield how each provider is that is configured."""
    from askonce.main.choices import (
        configured_providers,
        default_models,
        default_provider,
        fallbacks,
    )
    from askonce.providers import local

    providers = configured_providers(settings)
    models = default_models(settings, providers)
    try:
        first = default_provider(settings, providers)
        others = fallbacks(settings, models)
    except ConfigurationError as error:
        yield bad("providers", str(error), "set its key, or name another")
    else:
        then = f", then {', '.join(others)}" if others else ""
        yield good("providers", f"{first} ({models[first]}) is asked first{then}")
    for name, provider in providers.items():
        if name == local.NAME:
            yield _local(provider)
        else:
            yield _remote(name, provider, models[name])
    if local.NAME not in providers:
        yield good(local.NAME, "the embedded model is not installed, and so never asked")


def _local(provider: Any) -> Finding:
    name = provider.name
    started = time.monotonic()
    try:
        provider.warm()
    except ImportError:
        mend = "Debian: apt-get install libgomp1; or do without it, with a key of a provider"
        return bad(name, "the embedded model's engine cannot be loaded", mend)
    except (OSError, RuntimeError):
        mend = "see that 500 MiB of memory are free; install it anew: make clean setup"
        return bad(name, "the embedded model cannot be loaded", mend)
    finally:
        provider.close()
    return good(name, f"the embedded model loads, in {time.monotonic() - started:.1f} s")


def _remote(name: str, provider: "Provider", model: str) -> Finding:
    look_up = getattr(provider, "look_up", None)
    if look_up is None:
        return doubtful(name, "cannot be looked at without asking it", "ask it something")
    variable = _VARIABLES.get(name, name.upper())
    try:
        look_up(model, Deadline.after(_SECONDS, SystemClock()))
    except ProviderRejectedError as error:
        if error.reason in _REFUSED:
            return bad(name, "refuses the key", f"set {variable}_API_KEY to one that is good")
        if error.reason == _NOT_FOUND:
            mend = f"see ASKONCE_{name.upper()}_MODEL; a gateway may just not tell of its models"
            return doubtful(name, f"answers, and does not know the model {model}", mend)
        return doubtful(name, f"answers, but not as expected ({error.reason})", "ask it something")
    except ProviderError as error:
        mend = f"see that this machine may call it; {variable}_BASE_URL, a proxy, its status page"
        return bad(name, f"cannot be reached or used now ({error.reason})", mend)
    finally:
        getattr(provider, "close", lambda: None)()
    return good(name, f"knows the key and the model {model}; nothing was spent")
