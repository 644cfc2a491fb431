"""Sessions over HTTP, as far as no model is asked."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service


def begin(client: TestClient, **changes: Any) -> Any:
    response = client.post("/sessions", json={"title": "Capitals", "user_id": "ann"} | changes)
    assert response.status_code == 201, response.text
    return response.json()


def bring_in(client: TestClient, session_id: int, content: str) -> Any:
    body = {"role": "assistant", "content": content}
    response = client.post(f"/sessions/{session_id}/messages", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_session_begins_with_its_prompt_and_asks_nobody(
    client: TestClient, provider: FakeProvider
) -> None:
    response = client.post(
        "/sessions", json={"title": "Capitals", "user_id": "ann", "prompt": "Where is Paris?"}
    )

    session = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"/sessions/{session['id']}"
    assert (session["user_id"], session["message_count"]) == ("ann", 1)
    (prompt,) = session["messages"]
    assert (prompt["role"], prompt["content"]) == ("user", "Where is Paris?")
    assert prompt["answered"] is False
    assert prompt["provider"] is prompt["confidence"] is prompt["context"] is None
    assert provider.calls == []
    assert client.get(response.headers["location"]).json() == session


def test_a_session_of_nobody_in_particular_is_anonymous(client: TestClient) -> None:
    session = client.post("/sessions", json={"title": "Capitals"}).json()

    assert session["user_id"] == "anonymous"
    assert session["messages"] == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": None}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "\x00"}, "title"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "x" * 200_001}, "prompt"),
        ({"user_id": "a b"}, "user_id"),
        ({"user_id": ""}, "user_id"),
        ({"provider": "nobody"}, "provider"),
        ({"provider": "local", "model": "large"}, "model"),
        ({"temperature": 1}, "temperature"),
    ],
)
def test_a_wrong_field_is_named(client: TestClient, changes: dict[str, Any], field: str) -> None:
    response = client.post("/sessions", json={"title": "Capitals"} | changes)

    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


def test_sessions_are_listed_page_by_page_without_messages(client: TestClient) -> None:
    ids = [begin(client, prompt="Hello")["id"] for _ in range(5)]
    begin(client, user_id="bob")

    first = client.get("/sessions", params={"user_id": "ann", "limit": 3}).json()
    second = client.get(
        "/sessions", params={"user_id": "ann", "limit": 3, "cursor": first["next_cursor"]}
    ).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert second["next_cursor"] is None
    assert "messages" not in first["items"][0]
    assert len(client.get("/sessions").json()["items"]) == 6


@pytest.mark.parametrize("cursor", ["x", "YmVoaW5kOjE", "YmVmb3JlOjE", "", "é"])
def test_a_cursor_that_is_not_ours_is_refused(client: TestClient, cursor: str) -> None:
    response = client.get("/sessions", params={"cursor": cursor})

    assert response.status_code == 400
    assert response.json()["type"] == "malformed-request"


def test_messages_are_paged_newest_first(client: TestClient) -> None:
    session = begin(client, prompt="1")
    for number in range(2, 6):
        bring_in(client, session["id"], str(number))
    path = f"/sessions/{session['id']}"

    first = client.get(path, params={"limit": 3}).json()
    second = client.get(path, params={"limit": 3, "cursor": first["next_cursor"]}).json()

    assert [one["content"] for one in first["messages"]] == ["5", "4", "3"]
    assert [one["content"] for one in second["messages"]] == ["2", "1"]
    assert second["next_cursor"] is None
    assert first["message_count"] == 5


def test_a_session_is_renamed_and_continued_with_another_model(client: TestClient) -> None:
    session = begin(client, provider="claude", model="opus", instructions="Be brief.")
    path = f"/sessions/{session['id']}"

    renamed = client.patch(path, json={"title": "Cities"}).json()
    moved = client.patch(path, json={"provider": "openai", "instructions": None}).json()

    assert (renamed["title"], renamed["provider"], renamed["model"]) == ("Cities", "claude", "opus")
    assert (moved["provider"], moved["model"], moved["instructions"]) == ("openai", None, None)
    assert moved["updated_at"] >= renamed["updated_at"] >= session["updated_at"]


@pytest.mark.parametrize(
    "changes", [{"title": None}, {"title": ""}, {"user_id": "bob"}, {"provider": "nobody"}]
)
def test_a_change_that_cannot_be_is_refused(client: TestClient, changes: dict[str, Any]) -> None:
    session = begin(client)

    assert client.patch(f"/sessions/{session['id']}", json=changes).status_code == 422


def test_a_model_is_checked_with_the_provider_that_the_session_has(client: TestClient) -> None:
    session = begin(client, provider="local")

    response = client.patch(f"/sessions/{session['id']}", json={"model": "opus"})

    assert response.status_code == 422


def test_a_deleted_session_is_gone(client: TestClient) -> None:
    session = begin(client, prompt="Hello")
    path = f"/sessions/{session['id']}"

    assert client.delete(path).status_code == 204

    assert client.delete(path).status_code == 404
    assert client.get(path).status_code == 404
    assert client.get(path, params={"format": "jsonl"}).status_code == 404
    assert client.patch(path, json={"title": "Mine"}).status_code == 404
    assert client.get("/sessions").json()["items"] == []


@pytest.mark.parametrize("session_id", ["0", "01", "+1", "1.0", "x", "9" * 19, "9" * 40])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_what_is_no_id_is_not_found(client: TestClient, method: str, session_id: str) -> None:
    response = client.request(method, f"/sessions/{session_id}", json={"title": "Mine"})

    assert response.status_code == 404


def test_a_thread_is_taken_out_as_the_clients_of_vendors_take_it(client: TestClient) -> None:
    session = begin(client, prompt="Où est\nParis?")
    bring_in(client, session["id"], 'In "France".')

    response = client.get(f"/sessions/{session['id']}", params={"format": "jsonl"})

    assert response.headers["content-type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert lines == [
        {"role": "user", "content": "Où est\nParis?"},
        {"role": "assistant", "content": 'In "France".'},
    ]


def test_a_long_thread_is_taken_out_whole(service: Service) -> None:
    client = service.client
    session = begin(client)
    with service.process.database.transaction() as tx:
        from tests.examples import CALLER, NOW

        found = tx.sessions.one(CALLER, session["id"])
        assert found is not None
        for number in range(1201):
            tx.messages.say(found, str(number), at=NOW)

    text = client.get(f"/sessions/{session['id']}?format=jsonl").text

    said = [json.loads(line)["content"] for line in text.splitlines()]
    assert said == [str(number) for number in range(1201)]


def test_what_an_assistant_said_elsewhere_is_brought_in(
    client: TestClient, provider: FakeProvider
) -> None:
    session = begin(client, prompt="Where is Paris?")

    brought = bring_in(client, session["id"], "In France.")

    (message,) = brought["messages"]
    assert (message["role"], message["content"]) == ("assistant", "In France.")
    assert (message["provider"], message["confidence"]) == (None, None)
    shown = client.get(f"/sessions/{session['id']}").json()["messages"]
    assert shown[-1]["answered"] is True
    assert provider.calls == []
