"""A provider's failure, written down for those who wait for it in other processes."""

import json

from askonce.core.attempts import CIRCUIT_OPEN
from askonce.core.errors import (
    InputTooLongError,
    InvalidAnswerError,
    ProviderCircuitOpenError,
    ProviderError,
    ProviderExhaustedError,
    ProviderRejectedError,
)

_KINDS: dict[str, type[ProviderError]] = {
    "rejected": ProviderRejectedError,
    "too-long": InputTooLongError,
    "invalid": InvalidAnswerError,
    CIRCUIT_OPEN: ProviderCircuitOpenError,
    "exhausted": ProviderExhaustedError,
}


def written(error: ProviderError) -> str:
    """Return a failure as JSON; holds only what `ProviderError` may hold."""
    kind = next((kind for kind, known in _KINDS.items() if isinstance(error, known)), "exhausted")
    return json.dumps(
        {
            "kind": kind,
            "provider": error.provider,
            "reason": error.reason,
            "retry_after": getattr(error, "retry_after", None),
        }
    )


def read(failure: str) -> ProviderError:
    """Return the error that `written` wrote."""
    facts = json.loads(failure)
    kind = _KINDS[facts["kind"]]
    if kind is ProviderCircuitOpenError:
        return ProviderCircuitOpenError(facts["provider"], retry_after=facts["retry_after"])
    if kind is ProviderExhaustedError:
        return ProviderExhaustedError(
            facts["provider"], facts["reason"], retry_after=facts["retry_after"]
        )
    return kind(facts["provider"], facts["reason"])
