"""The short way of a plain request and its route cannot be told apart."""

import threading
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from askonce.core.answers import FinishReason
from askonce.core.errors import (
    InputTooLongError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from tests.examples import an_answer
from tests.fakes.provider import FakeProvider

PLAIN = "application/json"
# The same to everybody, but spelled so that the short way leaves it alone.
ON_ITS_ROUTE = "application/json; charset=utf-8"
WAYS = [PLAIN, ON_ITS_ROUTE]
OWN = {"id", "created_at", "request_id"}
OWN_HEADERS = {"x-request-id", "content-length", "age", "cache-status"}


def ask(client: TestClient, content_type: str, body: bytes, path: str = "/analyze/ann") -> Response:
    return client.post(path, content=body, headers={"Content-Type": content_type})


def seen(response: Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return what two requests that ask alike get alike."""
    body = {name: value for name, value in response.json().items() if name not in OWN}
    headers = {n: v for n, v in response.headers.items() if n not in OWN_HEADERS}
    return response.status_code, body, headers


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "hello"}',
        b'{"text": "hello", "instructions": "be brief", "max_output_tokens": 5}',
        '{"text": "Grüße \\u0041 \U0001f600"}'.encode(),
        b'{"text": ""}',
        b'{"text": "\\u0000"}',
        b'{"text": "\\ud800"}',
        b'{"text": "hello", "stray": 1}',
        b'{"text": "hello", "provider": "nobody"}',
        b'{"text": 1}',
        b'"hello"',
        b"{",
        b"\xff",
        b"",
    ],
)
def test_a_body_gets_the_same_both_ways(client: TestClient, body: bytes) -> None:
    ask(client, PLAIN, body)

    short, long = (seen(ask(client, way, body)) for way in WAYS)

    assert short == long


@pytest.mark.parametrize(
    "error",
    [
        ProviderUnavailableError("claude", "http-500"),
        ProviderRejectedError("claude", "http-401"),
        InputTooLongError("claude", "too long"),
        RuntimeError("a bug"),
    ],
)
def test_an_error_is_told_the_same_both_ways(
    client: TestClient, provider: FakeProvider, error: Any
) -> None:
    told = []
    for way in WAYS:
        provider.will(error)
        told.append(seen(ask(client, way, b'{"text": "hello"}')))

    assert told[0] == told[1]


@pytest.mark.parametrize("path", ["/analyze/ann%20e", "/analyze/", "/analyze/a/b", "/analyze//"])
def test_a_path_that_is_none_gets_the_same_both_ways(client: TestClient, path: str) -> None:
    short, long = (seen(ask(client, way, b'{"text": "hello"}', path)) for way in WAYS)

    assert short == long


def test_the_same_hit_has_the_same_headers_both_ways(client: TestClient) -> None:
    ask(client, PLAIN, b'{"text": "hello"}')

    short, long = (ask(client, way, b'{"text": "hello"}') for way in WAYS)

    assert short.headers.keys() == long.headers.keys()
    assert short.headers["Cache-Status"].startswith("askonce; hit; ttl=")


def test_both_ways_share_one_call(client: TestClient, provider: FakeProvider) -> None:
    for way in WAYS * 2:
        ask(client, way, b'{"text": "hello"}')

    assert len(provider.calls) == 1


def test_a_question_that_was_asked_before_still_obeys_its_answer(
    client: TestClient, provider: FakeProvider
) -> None:
    provider.will(an_answer(finish_reason=FinishReason.LENGTH))

    cut = ask(client, PLAIN, b'{"text": "hello"}').json()
    whole = ask(client, PLAIN, b'{"text": "hello"}').json()

    assert [cut["finish_reason"], whole["finish_reason"]] == ["length", "stop"]
    assert [cut["cached"], whole["cached"]] == [False, False]


def test_a_body_that_comes_in_pieces_is_read_whole(client: TestClient) -> None:
    pieces = iter([b'{"text": ', b'"hel', b'lo"}'])

    answered = client.post("/analyze/ann", content=pieces, headers={"Content-Type": PLAIN})

    assert answered.status_code == 200


def test_many_plain_requests_at_once_each_get_a_row_of_their_own(client: TestClient) -> None:
    ask(client, PLAIN, b'{"text": "hello"}')
    ids: list[tuple[str, int]] = []

    def work(user: str) -> None:
        for _ in range(20):
            answered = ask(client, PLAIN, b'{"text": "hello"}', f"/analyze/{user}").json()
            assert answered["user_id"] == user
            ids.append((user, answered["id"]))

    threads = [threading.Thread(target=work, args=(f"user-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({given for _, given in ids}) == 160
    for user, given in ids:
        assert client.get(f"/history/{user}/{given}").status_code == 200
