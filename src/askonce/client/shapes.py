"""What the service answers with, as values. Fields that a newer service adds are left out."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from askonce.client.errors import understood

_SECONDS = re.compile("[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """One user having asked one question at one time.

    `text` is what was asked; only the history has it. `cost_usd` is None where the price is not
    known. Where it was just asked, `cache_status` says where the answer came from (RFC 9211), and
    `age` how many seconds ago an answer from the cache was stored.
    """

    id: int
    user_id: str
    result: str = field(repr=False)
    data: Any = field(repr=False)
    provider: str
    model: str
    finish_reason: str
    cached: bool
    tokens_in: int
    tokens_out: int
    tokens_used: int
    cost_usd: Decimal | None
    created_at: datetime
    text: str | None = field(default=None, repr=False)
    cache_status: str | None = None
    age: int | None = None

    @classmethod
    @understood()
    def of(cls, facts: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Self:
        said = headers or {}
        age = said.get("age", "")
        return cls(
            **_known(cls, facts)
            | {
                "cache_status": said.get("cache-status"),
                "age": int(age) if _SECONDS.fullmatch(age) else None,
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How much of a conversation the model was shown: word for word, and as a summary."""

    messages_sent: int
    messages_summarised: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that was said; what only a model's words have is None elsewhere."""

    id: int
    role: str
    content: str = field(repr=False)
    answered: bool | None
    confidence: float | None
    provider: str | None
    model: str | None
    finish_reason: str | None
    cached: bool | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_used: int | None
    cost_usd: Decimal | None
    context: Shown | None
    created_at: datetime

    @classmethod
    @understood()
    def of(cls, facts: Mapping[str, Any]) -> Self:
        shown = facts["context"]
        return cls(
            **_known(cls, facts)
            | {"context": None if shown is None else Shown(**_known(Shown, shown))}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation, with some of its messages where it was asked for by itself.

    `next_cursor` leads to older messages.
    """

    id: int
    user_id: str
    title: str
    provider: str | None
    model: str | None
    instructions: str | None = field(repr=False)
    message_count: int
    created_at: datetime
    updated_at: datetime
    messages: Sequence[Message] = field(default=(), repr=False)
    next_cursor: str | None = None

    @classmethod
    @understood()
    def of(cls, facts: Mapping[str, Any]) -> Self:
        messages = tuple(Message.of(message) for message in facts.get("messages", ()))
        return cls(**_known(cls, facts) | {"messages": messages})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What a user wants where a request leaves it open."""

    provider: str | None = None
    model: str | None = None
    instructions: str | None = field(default=None, repr=False)
    max_output_tokens: int | None = None

    @classmethod
    @understood()
    def of(cls, facts: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, facts))


def _known(cls: type, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts that a class has a field for, in its own types."""
    names = {one.name for one in fields(cls)}
    return {name: _read(name, value) for name, value in facts.items() if name in names}


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "cost_usd":
        return Decimal(value)
    return datetime.fromisoformat(value) if name.endswith("_at") else value
