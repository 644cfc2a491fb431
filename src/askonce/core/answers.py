"""What a provider said, and what one user was given."""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class FinishReason(StrEnum):
    """Why the model stopped. Only `STOP` is ever kept in the cache."""

    STOP = "stop"
    LENGTH = "length"
    REFUSAL = "refusal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One provider's answer to one question.

    Token counts include everything that was billed (cached input, reasoning); `cost` is in US
    dollars, exact, and None where the price is not known. Once it is kept it has an `id`, and the
    `digest` that proves what was asked and answered; it is the same answer with or without them.
    """

    text: str = field(repr=False)
    provider: str
    model: str
    finish_reason: FinishReason
    tokens_in: int
    tokens_out: int
    cost: Decimal | None
    id: int | None = field(default=None, compare=False)
    digest: str | None = field(default=None, compare=False, repr=False)

    def __hash__(self) -> int:
        """Return what equal answers have in common; that of all fields costs a hit dear."""
        return hash(self.text)

    def digest_with(self, salt: bytes, fingerprint: bytes) -> str:
        """Return HMAC-SHA-256 over the question's fingerprint and the answer's text, as hex.

        Whoever has question, answer and `salt` can prove that this was said. Once the salt is
        gone, not even a short text can be found by trying.
        """
        said = hashlib.sha256(self.text.encode()).digest()
        return hmac.new(salt, fingerprint + said, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer that is still being written."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a stream: the whole answer. A stream without it was cut."""

    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """One user having asked one question at one time: a row of the history."""

    id: int
    user_id: str
    text: str = field(repr=False)
    answer: Answer
    is_structured: bool
    cached: bool
    created_at: datetime


# Neither can be stored in PostgreSQL or sent as UTF-8, and an answer that was paid for must be.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return what a model said with NUL and lone surrogates replaced by U+FFFD."""
    return _UNSTORABLE.sub("�", text)
