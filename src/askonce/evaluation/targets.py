"""Which models a command line means."""

from collections.abc import Sequence

from askonce.evaluation.records import Target

PROVIDERS = ("claude", "openai", "local")


class TargetError(Exception):
    """It does not say which provider a model is of."""


def targets_of(providers: Sequence[str], models: Sequence[str]) -> list[Target]:
    """Return whom to ask: each model, or each provider's own choice, or the service's.

    A model is written `PROVIDER:MODEL`, or by itself where one provider is named.

    Raises:
        TargetError: there are several providers, and a model by itself.
    """
    if not models:
        return [Target(provider) for provider in dict.fromkeys(providers)] or [Target()]
    found = [_target(model, providers) for model in models]
    unused = [one for one in providers if one not in {target.provider for target in found}]
    return list(dict.fromkeys([*found, *(Target(one) for one in unused)]))


def target_of(written: str) -> Target:
    """Return the model that `PROVIDER:MODEL`, or `PROVIDER` for its own choice, names."""
    provider, _, model = written.partition(":")
    return Target(provider, model or None)


def _target(model: str, providers: Sequence[str]) -> Target:
    provider, mark, rest = model.partition(":")
    # Names of models may have colons of their own: ft:gpt-…
    if mark and provider in PROVIDERS:
        return Target(provider, rest or None)
    if len(providers) > 1:
        raise TargetError(f"--model {model}: of which provider? Write PROVIDER:{model}")
    return Target(providers[0] if providers else None, model)
