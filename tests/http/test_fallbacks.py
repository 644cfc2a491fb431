"""Fallbacks and circuits over HTTP: who answers, what is kept of it, and what is written down."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select

from askonce.core.errors import ProviderRejectedError, ProviderUnavailableError
from askonce.db.rows import AttemptRow
from tests.fakes.provider import BrokenOff, FakeProvider
from tests.http.conftest import Service

DOWN = ProviderUnavailableError("claude", "http-503")
OPENAI_DOWN = ProviderUnavailableError("openai", "http-529", retry_after=7)


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """Return a service that asks openai, then local, where claude cannot answer."""
    return start(fallbacks=("openai", "local"))


@pytest.fixture
def lonely(start: Callable[..., Service]) -> Service:
    """Return a service that leaves its only provider alone after two failures."""
    return start(circuit_failures=2)


def ask(client: TestClient, text: str = "hello", **body: Any) -> Response:
    return client.post("/analyze/ann", json={"text": text, **body})


def streamed(client: TestClient) -> list[tuple[str, Any]]:
    answered = client.post(
        "/analyze/ann", json={"text": "hello"}, headers={"accept": "text/event-stream"}
    )
    events = [event.split("\n") for event in answered.text.strip().split("\n\n")]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in events
    ]


def attempts(service: Service) -> list[tuple[str, str, str, str | None]]:
    with service.process.database.reading() as tx:
        columns = (AttemptRow.provider, AttemptRow.model, AttemptRow.outcome, AttemptRow.reason)
        rows = tx.connection.execute(select(*columns).order_by(AttemptRow.id))
        return [(row.provider, row.model, row.outcome, row.reason) for row in rows]


def test_the_answer_says_who_gave_it_and_each_attempt_who_was_asked(
    service: Service, provider: FakeProvider
) -> None:
    provider.will(DOWN)
    service.openai.will(OPENAI_DOWN)

    answered = ask(service.client)

    assert answered.status_code == 200
    assert (answered.json()["provider"], answered.json()["model"]) == ("local", "smollm2-135m")
    assert attempts(service) == [
        ("claude", "claude-haiku-5-5", "failed", "http-503"),
        ("openai", "gpt-6-luna", "failed", "http-529"),
        ("local", "smollm2-135m", "answered", None),
    ]


def test_an_answer_of_a_fallback_is_kept_where_the_request_named_no_provider(
    service: Service, provider: FakeProvider
) -> None:
    provider.will(DOWN)

    first = ask(service.client)
    second = ask(service.client)

    assert first.headers["Cache-Status"] == "askonce; fwd=uri-miss; stored"
    assert second.json()["cached"] is True
    assert second.json()["provider"] == "openai"
    assert len(provider.calls) == len(service.openai.calls) == 1


def test_an_answer_of_a_fallback_is_not_kept_where_the_request_named_its_provider(
    service: Service, provider: FakeProvider
) -> None:
    provider.will(DOWN)

    first = ask(service.client, provider="claude")
    second = ask(service.client, provider="claude")
    third = ask(service.client, provider="claude")

    assert (first.status_code, first.json()["provider"]) == (200, "openai")
    assert first.headers["Cache-Status"] == "askonce; fwd=uri-miss"
    assert (second.json()["provider"], second.json()["cached"]) == ("claude", False)
    assert second.headers["Cache-Status"] == "askonce; fwd=uri-miss; stored"
    assert third.json()["cached"] is True
    assert len(service.client.get("/history/ann").json()["items"]) == 3


def test_who_names_a_provider_is_not_given_what_a_fallback_said_to_others(
    service: Service, provider: FakeProvider
) -> None:
    provider.will(DOWN)

    unnamed = ask(service.client).json()
    named = ask(service.client, provider="claude").json()
    fallback = ask(service.client, provider="openai").json()

    assert unnamed["provider"] == "openai"
    assert (named["provider"], named["cached"]) == ("claude", False)
    assert (fallback["provider"], fallback["cached"]) == ("openai", False)


def test_the_question_of_a_fallback_may_be_answered_by_the_others(
    service: Service, provider: FakeProvider
) -> None:
    service.openai.will(OPENAI_DOWN)

    answered = ask(service.client, provider="openai").json()

    assert answered["provider"] == "local"
    assert len(service.openai.calls) == 1
    assert provider.calls == []


def test_a_rejected_key_is_not_covered_up(service: Service, provider: FakeProvider) -> None:
    provider.will(ProviderRejectedError("claude", "http-401"))

    refused = ask(service.client)

    assert (refused.status_code, refused.json()["type"]) == (502, "provider-rejected")
    assert len(provider.calls) == 1
    assert service.openai.calls == []


def test_the_last_of_the_chain_is_reported_when_all_are_exhausted(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(fallbacks=("openai",))
    provider.will(DOWN)
    service.openai.will(OPENAI_DOWN)

    refused = ask(service.client)

    assert (refused.status_code, refused.json()["type"]) == (504, "provider-exhausted")
    assert "openai" in refused.json()["detail"]
    assert refused.headers["Retry-After"] == "7"
    assert refused.headers["x-should-retry"] == "false"


def test_a_stream_falls_back_before_its_first_word(
    service: Service, provider: FakeProvider
) -> None:
    provider.will(BrokenOff("", DOWN))
    service.openai.will("from elsewhere")

    *deltas, (name, done) = streamed(service.client)

    assert "".join(data["text"] for _, data in deltas) == "from elsewhere"
    assert (name, done["provider"]) == ("done", "openai")
    assert ask(service.client).json()["cached"] is True


def test_a_stream_never_falls_back_after_its_first_word(
    service: Service, provider: FakeProvider
) -> None:
    cut = ProviderUnavailableError("claude", "cut", may_be_paid=True)
    provider.will(BrokenOff("one two ", cut))

    *deltas, (name, problem) = streamed(service.client)

    assert "".join(data["text"] for _, data in deltas) == "one two "
    assert (name, problem["type"]) == ("error", "provider-exhausted")
    assert service.openai.calls == []
    assert attempts(service) == [("claude", "claude-haiku-5-5", "unknown", "cut")]
    assert ask(service.client).json()["cached"] is False


def test_a_provider_that_keeps_failing_is_left_alone(
    lonely: Service, provider: FakeProvider
) -> None:
    provider.will(DOWN, DOWN)
    failed = [ask(lonely.client).json()["type"] for _ in range(2)]

    refused = ask(lonely.client)

    assert failed == ["provider-exhausted", "provider-exhausted"]
    assert (refused.status_code, refused.json()["type"]) == (503, "provider-unavailable")
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert "x-should-retry" not in refused.headers
    assert len(provider.calls) == 2
    assert attempts(lonely)[2:] == [("claude", "claude-haiku-5-5", "failed", "circuit-open")]
    assert [(one.provider, one.model) for one in lonely.process.circuits.open_now()] == [
        ("claude", "claude-haiku-5-5")
    ]


def test_hits_and_other_models_are_served_while_a_provider_is_left_alone(
    lonely: Service, provider: FakeProvider
) -> None:
    ask(lonely.client, "known")
    provider.will(DOWN, DOWN)
    for _ in range(2):
        ask(lonely.client)

    hit = ask(lonely.client, "known")
    other = ask(lonely.client, model="claude-sonnet-5-5")

    assert hit.json()["cached"] is True
    assert other.status_code == 200


def test_a_provider_that_is_left_alone_is_skipped_without_a_call(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(fallbacks=("openai",), circuit_failures=1)
    provider.will(DOWN)
    ask(service.client, "first")

    answered = ask(service.client, "second")

    assert answered.json()["provider"] == "openai"
    assert len(provider.calls) == 1
    assert attempts(service)[2:] == [
        ("claude", "claude-haiku-5-5", "failed", "circuit-open"),
        ("openai", "gpt-6-luna", "answered", None),
    ]


SCHEMA = {"type": "object", "required": ["mood"]}


def test_a_fallback_that_does_not_fit_the_schema_is_asked_again_itself(
    service: Service, provider: FakeProvider
) -> None:
    provider.will(DOWN)
    service.openai.will('"no object"', '{"mood": "angry"}')

    answered = ask(service.client, output_schema=SCHEMA)

    assert answered.json()["data"] == {"mood": "angry"}
    assert [(provider, outcome) for provider, _, outcome, _ in attempts(service)] == [
        ("claude", "failed"),
        ("openai", "invalid"),
        ("openai", "answered"),
    ]
    assert ask(service.client, output_schema=SCHEMA).json()["cached"] is True
