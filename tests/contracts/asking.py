"""How contract tests ask a provider."""

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from askonce.core.answers import Answer, Delta, Finished
from askonce.core.clock import Deadline, SystemClock
from askonce.core.errors import (
    ProviderError,
)
from askonce.core.ports import Provider
from askonce.core.questions import Question
from askonce.providers.claude import ClaudeProvider
from askonce.providers.local import LOCAL_MODEL
from askonce.providers.openai import OpenAIProvider
from askonce.providers.prices import Prices
from tests.examples import a_question
from tests.stub.client import StubProvider

Error = TypeVar("Error", bound=ProviderError)
HttpProvider = ClaudeProvider | OpenAIProvider
Ask = Callable[[Provider, Question, float], Answer]

KEY = "sk-a-secret-key"
MODELS = {
    "claude": "claude-haiku-5-5",
    "openai": "gpt-6-luna",
    "local": LOCAL_MODEL,
    "fake": "fake-model",
}
HTTP = ["claude", "openai"]
EVERY = [*HTTP, "local", "fake"]
CLOCK = SystemClock()

FRUIT = {
    "type": "object",
    "properties": {"fruit": {"type": "string", "enum": ["apple", "pear"]}},
    "required": ["fruit"],
    "additionalProperties": False,
}


def http_provider(name: str, stub: StubProvider | None = None, **changes: Any) -> HttpProvider:
    facts: dict[str, Any] = {"timeout": 5, "prices": Prices(), "max_connections": 8}
    if stub is not None:
        facts["base_url"] = stub.claude_url if name == "claude" else stub.openai_url
    kinds: dict[str, type[HttpProvider]] = {"claude": ClaudeProvider, "openai": OpenAIProvider}
    return kinds[name](KEY, **facts | changes)


def completed(provider: Provider, question: Question, seconds: float = 5) -> Answer:
    return provider.complete(question, Deadline.after(seconds, CLOCK))


def streamed(provider: Provider, question: Question, seconds: float = 5) -> Answer:
    *pieces, last = provider.stream(question, Deadline.after(seconds, CLOCK))
    assert isinstance(last, Finished)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Delta)) == last.answer.text
    return last.answer


def asked_of(provider: Provider, **changes: Any) -> Question:
    facts = {"provider": provider.name, "model": MODELS[provider.name], "max_output_tokens": 64}
    return a_question(**facts | changes)


def failure(kind: type[Error], ask: Ask, provider: Provider, seconds: float = 5) -> Error:
    """Ask, and return the error of exactly this kind that comes of it."""
    with pytest.raises(ProviderError) as caught:
        ask(provider, asked_of(provider, text="a private text"), seconds)
    assert type(caught.value) is kind
    assert isinstance(caught.value, kind)
    return caught.value
