"""What clients ask: texts that say in themselves how the stub provider shall take them."""

import random
from typing import Final

from askonce.core.access import DEFAULT_TENANT
from askonce.core.idempotency import IdempotencyKey
from askonce.core.questions import Question, Scope

HOT: Final = 4
# One provider: to import another SDK would take each new replica seconds.
_PROVIDER: Final = "openai"
_MODEL: Final = "chaos"
_MAX_OUTPUT_TOKENS: Final = 256

SETTINGS: Final = {
    "ASKONCE_PROVIDER": _PROVIDER,
    "ASKONCE_OPENAI_MODEL": _MODEL,
    "ASKONCE_MAX_OUTPUT_TOKENS": str(_MAX_OUTPUT_TOKENS),
}

# How often, and how the provider takes it; a number in braces is drawn.
_WAYS: Final = (
    (50, "slow={short:.3f}"),
    (14, "slow={long:.3f}"),
    (5, "500 times=1"),
    (4, "503 times=2"),
    (3, "529 times=1"),
    (4, "reset times=1"),
    (4, "cut times=1"),
    (3, "cut-politely times=1"),
    (3, "malformed times=1"),
    (3, "error-event times=1"),
    (3, "429 retry-after=1 times=1"),
    (3, "slow=2.5 times=1"),
    (2, "trickle every=0.0003"),
    (2, "hang-up"),
    (3, "length slow={short:.3f}"),
    (1, "500"),
    (1, "empty"),
)


def text_of(name: str, seed: int) -> str:
    """Return the text of a question; the same for the same name and seed."""
    drawn = random.Random(f"{seed}/{name}")
    way = drawn.choices([way for _, way in _WAYS], [often for often, _ in _WAYS])[0]
    words = way.format(short=drawn.uniform(0.01, 0.15), long=drawn.uniform(0.2, 1.0))
    return f"What is {name}? [[{words}]]"


def sure_text(name: str) -> str:
    """Return the text of a question that the provider answers at once."""
    return f"What is {name}?"


def fingerprint_of(text: str) -> bytes:
    """Return the key under which the product keeps the answer to a text."""
    question = Question(
        text=text,
        provider=_PROVIDER,
        model=_MODEL,
        max_output_tokens=_MAX_OUTPUT_TOKENS,
    )
    return question.fingerprint(Scope(tenant=DEFAULT_TENANT))


def scope_of(key: str) -> bytes:
    """Return what the product keeps an idempotency key as."""
    return IdempotencyKey.of(key, tenant=DEFAULT_TENANT, key_id=None, path="", body=None).scope
