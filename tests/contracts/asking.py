"""How contract tests ask a provider."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import pytest

from askonce.core.answers import Answer, Delta, Finished
from askonce.core.clock import Clock, Deadline, SystemClock
from askonce.core.errors import ProviderError, ProviderUnavailableError
from askonce.core.ports import Provider
from askonce.core.questions import Question
from askonce.providers.claude import ClaudeProvider
from askonce.providers.local import LOCAL_MODEL
from askonce.providers.openai import OpenAIProvider
from askonce.providers.prices import Prices
from tests.examples import a_question
from tests.fakes.clock import FakeClock
from tests.serving import PATIENCE_SECONDS, until
from tests.stub.client import StubProvider

Error = TypeVar("Error", bound=ProviderError)
HttpProvider = ClaudeProvider | OpenAIProvider

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
TOO_SOON_SECONDS = 0.3

FRUIT = {
    "type": "object",
    "properties": {"fruit": {"type": "string", "enum": ["apple", "pear"]}},
    "required": ["fruit"],
    "additionalProperties": False,
}


class Ask(Protocol):
    """One way to ask a provider: for the whole answer, or for a stream."""

    def __call__(
        self, provider: Provider, question: Question, seconds: float = ..., clock: Clock = ...
    ) -> Answer:
        """Ask with a deadline that lies `seconds` from now on `clock`."""


def http_provider(name: str, stub: StubProvider | None = None, **changes: Any) -> HttpProvider:
    facts: dict[str, Any] = {"timeout": PATIENCE_SECONDS, "prices": Prices()}
    if stub is not None:
        facts["base_url"] = stub.claude_url if name == "claude" else stub.openai_url
    kinds: dict[str, type[HttpProvider]] = {"claude": ClaudeProvider, "openai": OpenAIProvider}
    return kinds[name](KEY, **facts | changes)


def completed(
    provider: Provider,
    question: Question,
    seconds: float = PATIENCE_SECONDS,
    clock: Clock = CLOCK,
) -> Answer:
    return provider.complete(question, Deadline.after(seconds, clock))


def streamed(
    provider: Provider,
    question: Question,
    seconds: float = PATIENCE_SECONDS,
    clock: Clock = CLOCK,
) -> Answer:
    *pieces, last = provider.stream(question, Deadline.after(seconds, clock))
    assert isinstance(last, Finished)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Delta)) == last.answer.text
    return last.answer


def asked_of(provider: Provider, **changes: Any) -> Question:
    facts = {"provider": provider.name, "model": MODELS[provider.name], "max_output_tokens": 64}
    return a_question(**facts | changes)


def failure(
    kind: type[Error],
    ask: Ask,
    provider: Provider,
    seconds: float = PATIENCE_SECONDS,
    clock: Clock = CLOCK,
) -> Error:
    """Ask, and return the error of exactly this kind that comes of it."""
    with pytest.raises(ProviderError) as caught:
        ask(provider, asked_of(provider, text="a private text"), seconds, clock)
    assert type(caught.value) is kind
    assert isinstance(caught.value, kind)
    return caught.value


def failure_in_time(
    ask: Ask, provider: Provider, stub: StubProvider, seconds: float = TOO_SOON_SECONDS
) -> ProviderUnavailableError:
    """Ask, let `TOO_SOON_SECONDS` pass, and return the error that comes of it soon.

    The deadline's clock stands still until the provider has the call, so that no slow machine
    can make the deadline pass before anything was sent.
    """
    clock = FakeClock()
    with ThreadPoolExecutor(1) as threads:
        failing = threads.submit(failure, ProviderUnavailableError, ask, provider, seconds, clock)
        until(lambda: bool(stub.calls()))
        clock.advance(TOO_SOON_SECONDS)
        return failing.result(timeout=10)
