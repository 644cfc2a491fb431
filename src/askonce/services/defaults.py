"""Fills in what a request leaves open: from the session, the user's preferences, the settings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from askonce.core.errors import FieldError, InvalidFieldsError, UnknownProviderError
from askonce.core.preferences import NO_WISHES, Wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Everything of a question that could have been left open.

    `fallbacks` are the providers whose answer counts too; none where somebody named the provider.
    """

    provider: str
    model: str
    instructions: str | None = field(repr=False)
    max_output_tokens: int
    fallbacks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a request that leaves something open gets.

    `models` has every configured provider with its default model; a provider in `fixed` has that
    one model only. `fallbacks` may answer instead of the provider.
    """

    provider: str
    models: Mapping[str, str]
    fixed: frozenset[str]
    max_output_tokens: int
    fallbacks: Sequence[str] = ()

    def chosen(self, *wishes: Wishes) -> Chosen:
        """Return what the wishes come to; those of the request come first, and win.

        Raises:
            UnknownProviderError: the request names a provider that is not configured.
            InvalidFieldsError: the provider does not have the model.
        """
        wanted, *others = wishes
        if wanted.provider is not None and wanted.provider not in self.models:
            raise UnknownProviderError(wanted.provider)
        for other in others:
            if other is NO_WISHES:
                continue
            wanted = wanted.filled(self._known(other), default_provider=self.provider)
        provider = wanted.provider or self.provider
        default_model = self.models[provider]
        model = wanted.model or default_model
        if provider in self.fixed and model != default_model:
            raise InvalidFieldsError(
                FieldError("model", f"the provider {provider} has only the model {default_model}")
            )
        return Chosen(
            provider=provider,
            model=model,
            # Empty instructions are a wish for none.
            instructions=wanted.instructions or None,
            max_output_tokens=wanted.max_output_tokens or self.max_output_tokens,
            # Who names a provider wants its answer: another one's is given, but never kept.
            fallbacks=()
            if wanted.provider
            else tuple(name for name in self.fallbacks if name != provider),
        )

    def _known(self, wishes: Wishes) -> Wishes:
        """Return wishes without a provider that was configured once, but is not now."""
        if wishes.provider is None or wishes.provider in self.models:
            return wishes
        return replace(wishes, provider=None, model=None)
