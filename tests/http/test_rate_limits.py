"""Who asks too often is told when to come back, whatever is asked and however."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from freezegun import freeze_time
from httpx2 import Response

from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service

PLAIN = "application/json"
ON_ITS_ROUTE = "application/json; charset=utf-8"
NOON = "2026-11-21 12:00:00"


def ask(
    client: TestClient, text: str = "hello", user: str = "ann", way: str = PLAIN, **headers: str
) -> Response:
    given = {"Content-Type": way, **{n.replace("_", "-"): v for n, v in headers.items()}}
    return client.post(f"/analyze/{user}", content=b'{"text": "%s"}' % text.encode(), headers=given)


@pytest.mark.parametrize("way", [PLAIN, ON_ITS_ROUTE])
def test_one_request_too_many_is_told_when_to_come_back(
    start: Callable[..., Service], provider: FakeProvider, way: str
) -> None:
    client = start(rate_limit="2/minute").client
    with freeze_time(NOON) as clock:
        first, hit, refused = (ask(client, way=way) for _ in range(3))
        clock.tick(int(refused.headers["Retry-After"]))
        again = ask(client, way=way)

    policy = '"key-minute";q=2;w=60, "user-minute";q=2;w=60'
    assert [one.status_code for one in (first, hit, refused, again)] == [200, 200, 429, 200]
    assert {one.headers["RateLimit-Policy"] for one in (first, hit, refused, again)} == {policy}
    assert first.headers["RateLimit"] == '"key-minute";r=1;t=30, "user-minute";r=1;t=30'
    assert hit.headers["RateLimit"] == '"key-minute";r=0;t=30, "user-minute";r=0;t=30'
    assert refused.headers["RateLimit"] == hit.headers["RateLimit"]
    assert refused.headers["Retry-After"] == "30"
    assert (refused.json()["type"], refused.json()["status"]) == ("rate-limited", 429)
    assert len(provider.calls) == 1


def test_a_request_is_refused_before_anything_is_looked_up_or_claimed(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(rate_limit="1/day").client
    ask(client)

    # A hit, a miss, a stream, a repeat and one that wants no cache.
    refused = [
        ask(client),
        ask(client, "another"),
        ask(client, "a stream", Accept="text/event-stream"),
        ask(client, Idempotency_Key="k"),
        ask(client, Cache_Control="no-store"),
    ]

    assert [one.status_code for one in refused] == [429] * 5
    assert len(provider.calls) == 1


def test_no_address_makes_a_new_caller_of_somebody(start: Callable[..., Service]) -> None:
    client = start(rate_limit="1/day").client
    ask(client)

    assert (
        ask(client, X_Forwarded_For="203.0.113.7", Forwarded="for=203.0.113.7").status_code == 429
    )


def test_other_requests_are_counted_too_and_monitors_are_not(
    start: Callable[..., Service],
) -> None:
    client = start(rate_limit="3/day").client

    counted = [
        client.get("/history/ann"),
        client.post("/sessions", json={"title": "a"}),
        client.get("/sessions"),
        client.get("/history/ann"),
        client.post("/sessions/1/messages", json={"role": "user", "content": "a"}),
        client.post("/sessions/1/summary"),
        client.delete("/history/1"),
    ]
    free = [client.get(path) for path in ("/health", "/ready", "/docs", "/openapi.json")]

    assert [one.status_code for one in counted] == [200, 201, 200, 429, 429, 429, 429]
    assert counted[0].headers["RateLimit"].startswith('"key-day";r=2;')
    assert [one.status_code for one in free] == [200] * 4
    assert not any("RateLimit" in one.headers for one in free)


def test_what_a_turn_asks_is_counted_once(start: Callable[..., Service]) -> None:
    client = start(rate_limit="10/day").client
    client.post("/sessions", json={"title": "a"})

    said = client.post("/sessions/1/messages", json={"role": "user", "content": "a"})
    summed_up = client.post("/sessions/1/summary")

    assert said.headers["RateLimit"].startswith('"key-day";r=8;')
    assert summed_up.headers["RateLimit"].startswith('"key-day";r=7;')


def test_errors_tell_what_is_left_both_ways(start: Callable[..., Service]) -> None:
    client = start(rate_limit="9/day").client

    told = [
        ask(client, Cache_Control="only-if-cached"),
        ask(client, Cache_Control="only-if-cached", way=ON_ITS_ROUTE),
    ]

    assert [one.status_code for one in told] == [504, 504]
    assert [one.headers["RateLimit"][:15] for one in told] == ['"key-day";r=8;t', '"key-day";r=7;t']


def test_without_a_limit_nothing_is_said_of_any(client: TestClient) -> None:
    assert not any("ratelimit" in name for name in ask(client).headers)


def test_openapi_tells_of_429_wherever_requests_are_counted(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    uncounted = {path for path, item in paths.items() if "429" not in str(item)}
    refused = paths["/analyze/{user_id}"]["post"]["responses"]["429"]
    assert uncounted == {"/health", "/metrics", "/ready"}
    assert set(refused["headers"]) == {"Retry-After", "RateLimit", "RateLimit-Policy"}
