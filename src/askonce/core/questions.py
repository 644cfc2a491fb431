"""A question: everything that can change an answer, and the key under which the answer is kept."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import rfc8785

from askonce.core.conversations import Spoken

FINGERPRINT_VERSION = 1
MAX_TEXT_CHARACTERS = 200_000

# Made once: json.dumps would make an encoder for each text.
_UNESCAPED = json.JSONEncoder(ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Within which walls an answer may be shared: a tenant, or one user of it."""

    tenant: str
    user_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of a provider, before any provider reshapes it.

    `output_schema` is the JSON text of the schema, so that a question stays hashable and frozen.
    `fallbacks` are the other providers whose answer counts as an answer to this question; there
    are none where the request named its provider. `messages` are what was said before `text` in
    a conversation, the oldest first; None where the question does not belong to one.
    """

    text: str = field(repr=False)
    provider: str
    model: str
    max_output_tokens: int
    instructions: str | None = field(default=None, repr=False)
    output_schema: str | None = field(default=None, repr=False)
    fallbacks: tuple[str, ...] = ()
    messages: tuple[Spoken, ...] | None = field(default=None, repr=False)

    @property
    def is_turn(self) -> bool:
        """Whether the answer is a reply in a conversation, and so has its form."""
        return self.messages is not None and self.output_schema is not None

    def schema(self) -> dict[str, Any] | None:
        """Return the output schema as an object, or None where none was asked for."""
        return None if self.output_schema is None else json.loads(self.output_schema)

    def fingerprint(self, scope: Scope) -> bytes:
        """Return the 32-byte key under which the answer is kept: SHA-256 of RFC 8785 JSON.

        A new field of `Question` belongs in here, with a new `FINGERPRINT_VERSION`: old answers
        are then asked for again rather than served to a question they were not given to.
        """
        # A conversation differs at each turn: remembering it would only fill the memory.
        hash_up_to_text = (
            _hashed_up_to_text if self.messages is None else _hashed_up_to_text.__wrapped__
        )
        hashed = hash_up_to_text(
            tenant=scope.tenant,
            user_id=scope.user_id,
            instructions=self.instructions,
            max_output_tokens=self.max_output_tokens,
            model=self.model,
            output_schema=self.output_schema,
            provider=self.provider,
            fallbacks=self.fallbacks,
            messages=self.messages,
        ).copy()
        # RFC 8785 section 3.2.2.2 escapes strings exactly as json.dumps does without ASCII mode.
        hashed.update(_UNESCAPED.encode(self.text).encode())
        hashed.update(b"}")
        return hashed.digest()


@lru_cache(maxsize=1024)
def _hashed_up_to_text(
    *,
    tenant: str,
    user_id: str | None,
    instructions: str | None,
    max_output_tokens: int,
    model: str,
    output_schema: str | None,
    provider: str,
    fallbacks: tuple[str, ...],
    messages: tuple[Spoken, ...] | None,
) -> "hashlib._Hash":
    """Return the hash state of everything but the text, which RFC 8785 sorts last.

    A hit costs two microseconds of hashing this way instead of a canonical dump of the whole.
    """
    facts: dict[str, Any] = {
        "askonce": FINGERPRINT_VERSION,
        "for": [tenant, user_id],
        "instructions": instructions,
        "max_output_tokens": max_output_tokens,
        "model": model,
        "output_schema": None if output_schema is None else json.loads(output_schema),
        "provider": provider,
    }
    if fallbacks:
        facts["fallbacks"] = list(fallbacks)
    if messages is not None:
        facts["messages"] = [[said.role.value, said.content] for said in messages]
    canonical = rfc8785.dumps(facts)
    return hashlib.sha256(canonical[:-1] + b',"text":')
