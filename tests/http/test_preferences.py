"""Preferences over HTTP, and what they do to questions."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service

PATH = "/users/ann/preferences"
NONE = {"provider": None, "model": None, "instructions": None, "max_output_tokens": None}


def test_whoever_has_put_none_has_none(client: TestClient) -> None:
    response = client.get(PATH)

    assert (response.status_code, response.json()) == (200, NONE)


def test_what_is_put_is_what_is_read_and_replaces_what_was_there(client: TestClient) -> None:
    client.put(PATH, json={"provider": "claude", "instructions": "Answer in French."})

    put = client.put(PATH, json={"provider": "openai", "model": "astra", "max_output_tokens": 9})

    expected = {**NONE, "provider": "openai", "model": "astra", "max_output_tokens": 9}
    assert (put.status_code, put.json()) == (200, expected)
    assert client.get(PATH).json() == expected
    assert client.put(PATH, json={}).json() == NONE
    assert client.get(PATH).json() == NONE


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "nobody"}, "provider"),
        ({"provider": "local", "model": "large"}, "model"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"instructions": "\x00"}, "instructions"),
        ({"instructions": "x" * 20_001}, "instructions"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_a_wrong_preference_is_named(client: TestClient, body: dict[str, Any], field: str) -> None:
    response = client.put(PATH, json=body)

    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]
    assert client.get(PATH).json() == NONE


def test_preferences_fill_what_a_request_leaves_open(
    service: Service, provider: FakeProvider
) -> None:
    client = service.client
    client.put(PATH, json={"instructions": "Answer in French.", "max_output_tokens": 77})

    client.post("/analyze/ann", json={"text": "Hello"})
    client.post("/analyze/ann", json={"text": "Hello", "instructions": "In Greek."})
    client.post("/analyze/bob", json={"text": "Hello"})

    asked = [(call.instructions, call.max_output_tokens) for call in provider.calls]
    assert asked == [("Answer in French.", 77), ("In Greek.", 77), (None, 1024)]


def test_a_preference_counts_like_the_same_words_in_a_request(
    client: TestClient, provider: FakeProvider
) -> None:
    client.put(PATH, json={"provider": "claude", "instructions": "Answer in French."})
    body = {"text": "Hello", "provider": "claude", "instructions": "Answer in French."}

    client.post("/analyze/ann", json={"text": "Hello"})
    again = client.post("/analyze/bob", json=body)

    assert again.json()["cached"] is True
    assert len(provider.calls) == 1


def test_a_changed_preference_counts_from_the_next_question_on(
    client: TestClient, provider: FakeProvider
) -> None:
    for instructions in ["One.", "Two.", None, "Two."]:
        client.put(PATH, json={"instructions": instructions})
        client.post("/analyze/ann", json={"text": "Hello"})

    assert [call.instructions for call in provider.calls] == ["One.", "Two.", None]


def test_a_preferred_provider_is_asked(service: Service) -> None:
    service.client.put(PATH, json={"provider": "openai"})

    answer = service.client.post("/analyze/ann", json={"text": "Hello"}).json()

    assert answer["provider"] == "openai"
