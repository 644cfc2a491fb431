"""Odd values through every route that takes any: databases keep them alike, or are spared them."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.fakes.provider import FakeProvider
from tests.http.test_erasure import ask
from tests.http.test_export import exported
from tests.http.test_sessions import begin
from tests.http.test_turns import say, thread

# CR and LF, ESC, line separator, a non-character, NFD beside NFC, right-to-left, emoji of 4 bytes
# and of several characters, a ligature that NFKC would take apart, a byte order mark.
ODD = "a\r\nb\x1b[31m\u2028\ufffe e\u0301\u00e9 \u202ex 😀👩‍🔬 ﬁ \ufeff"
NO_TEXT = ["\x00", "before\x00after", "\ud800", "\udfff\ud800"]


def sent(client: TestClient, method: str, path: str, body: Any) -> Any:
    """Send a body as ASCII: a client's library would refuse to send halves of characters."""
    return client.request(
        method, path, content=json.dumps(body), headers={"content-type": "application/json"}
    )


def test_odd_text_comes_back_as_it_went_in(client: TestClient, provider: FakeProvider) -> None:
    provider.will(ODD)
    body = {"text": ODD, "instructions": ODD}

    asked = sent(client, "POST", "/analyze/ann", body).json()
    (item,) = client.get("/history/ann").json()["items"]
    again = sent(client, "POST", "/analyze/bob", body).json()
    normalised = sent(client, "POST", "/analyze/ann", body | {"text": ODD.replace("e\u0301", "é")})

    assert (item["text"], item["result"], again["result"]) == (ODD, ODD, ODD)
    assert (asked["cached"], again["cached"], normalised.json()["cached"]) == (False, True, False)
    assert exported(client)[1]["text"] == ODD


def test_odd_text_in_sessions_and_preferences_comes_back_too(
    client: TestClient, provider: FakeProvider
) -> None:
    provider.will(json.dumps({"content": ODD, "confidence": 1}))
    session = begin(client, title=ODD[:40], instructions=ODD)
    say(client, session["id"], ODD)
    sent(client, "PUT", "/users/ann/preferences", {"instructions": ODD})

    assert thread(client, session["id"]) == [("user", ODD), ("assistant", ODD)]
    assert client.get(f"/sessions/{session['id']}").json()["title"] == ODD[:40]
    assert client.get("/users/ann/preferences").json()["instructions"] == ODD


@pytest.mark.parametrize("value", NO_TEXT)
def test_what_is_no_text_is_refused_wherever_it_is_sent(client: TestClient, value: str) -> None:
    session = begin(client)["id"]
    told = {
        ("POST", "/analyze/ann", "text"): {"text": value},
        ("POST", "/analyze/ann", "instructions"): {"text": "x", "instructions": value},
        ("POST", "/analyze/ann", "model"): {"text": "x", "model": value},
        ("POST", "/sessions", "title"): {"title": value},
        ("POST", "/sessions", "prompt"): {"title": "x", "prompt": value},
        ("POST", "/sessions", "user_id"): {"title": "x", "user_id": value},
        ("PATCH", f"/sessions/{session}", "title"): {"title": value},
        ("POST", f"/sessions/{session}/messages", "content"): {"role": "user", "content": value},
        ("PUT", "/users/ann/preferences", "instructions"): {"instructions": value},
    }

    for (method, path, field), body in told.items():
        refused = sent(client, method, path, body)
        assert refused.status_code == 422, (method, path, field, refused.text)
        assert field in {error["field"].partition(".")[0] for error in refused.json()["errors"]}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400])
def test_no_number_that_json_cannot_carry_gets_into_a_schema(
    client: TestClient, number: str
) -> None:
    body = f'{{"text": "x", "output_schema": {{"const": {number}}}}}'

    refused = client.post(
        "/analyze/ann", content=body, headers={"content-type": "application/json"}
    )

    assert refused.status_code in (400, 422)


@pytest.mark.parametrize("number", ["0", "-1", "+1", "01", "1.0", "1_000", "%201", "9" * 19, "٣"])
def test_what_is_no_id_is_not_found_on_every_route(client: TestClient, number: str) -> None:
    ask(client)
    paths = [
        ("GET", f"/history/ann/{number}"),
        ("DELETE", f"/history/{number}"),
        ("GET", f"/sessions/{number}"),
        ("PATCH", f"/sessions/{number}"),
        ("DELETE", f"/sessions/{number}"),
        ("POST", f"/sessions/{number}/messages"),
        ("POST", f"/sessions/{number}/summary"),
    ]

    for method, path in paths:
        body = {"role": "user", "content": "x"} if path.endswith("messages") else {"title": "x"}
        is_bare = method in ("GET", "DELETE") or path.endswith("summary")
        found = client.request(method, path, json=None if is_bare else body)
        assert found.status_code == 404, (method, path, found.text)
