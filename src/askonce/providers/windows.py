"""How many tokens each model takes in one call: the operator's word, else what is known of it."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from askonce.providers import local
from askonce.providers.llama import CONTEXT_TOKENS
from askonce.providers.prices import context_window

# Of a model that nobody knows: few that are still served take less.
_UNKNOWN: Final = 128_000
_EVERY_MODEL: Final = "*"


class ContextWindows:
    """The windows of all models; `own` has those that the operator sets, `*` is for every model."""

    def __init__(self, own: Mapping[str, int] | None = None) -> None:
        self._own = dict(own or {})

    def tokens(self, provider: str, model: str) -> int:
        """Return a model's window, its prompt and its answer together."""
        own = self._own.get(model) or self._own.get(_EVERY_MODEL)
        return own or _known(provider, model)


@lru_cache
def _known(provider: str, model: str) -> int:
    if provider == local.NAME:
        return CONTEXT_TOKENS
    return context_window(provider, model) or _UNKNOWN
