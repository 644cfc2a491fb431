"""Every request that touches data or money leaves its events, and users see what they spent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.testclient import TestClient
from freezegun import freeze_time

from askonce.core.books import Booked, EventFilter
from askonce.core.errors import ProviderRejectedError
from askonce.core.events import Action
from tests.examples import an_answer
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service

ASKED = {"text": "What is a cache?"}
MISS = [("call", "answered"), ("analyze", "miss")]


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a request is to leave in the trail, oldest first. `before` is sent before it."""

    events: list[tuple[str, str]]
    before: list[tuple[str, str, Any]] = field(default_factory=list)
    body: Any = None
    path: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    user: str | None = "ann"


BEGIN = ("POST", "/sessions", {"title": "Caches", "user_id": "ann"})
SAY = ("POST", "/sessions/1/messages", {"role": "user", "content": "What is a cache?"})
ASK = ("POST", "/analyze/ann", ASKED)
NOTHING = Told(events=[])

# All routes of the product. What touches neither data nor money leaves nothing.
ROUTES: dict[str, list[Told]] = {
    "POST /analyze/{user_id}": [
        Told(body=ASKED, events=MISS),
        Told(before=[ASK], body=ASKED, events=[("analyze", "hit")]),
        Told(
            before=[ASK],
            body=ASKED,
            headers={"cache-control": "no-store"},
            events=[("call", "answered"), ("analyze", "bypass")],
        ),
        Told(
            before=[ASK], body=ASKED, headers={"accept": "text/event-stream"},
            events=[("analyze", "hit")],
        ),
        Told(body={"text": ""}, events=[]),
        Told(body=ASKED, headers={"cache-control": "only-if-cached"}, events=[]),
    ],
    "GET /history/{user_id}": [
        Told(before=[ASK], events=[("history.read", "done")]),
        Told(path="/history/ann?cursor=x", events=[]),
    ],
    "GET /history/{user_id}/{id}": [
        Told(before=[ASK], path="/history/ann/1", events=[("history.read", "done")]),
        Told(path="/history/ann/1", events=[]),
    ],
    "DELETE /history/{id}": [
        Told(before=[ASK], path="/history/1", events=[("history.delete", "done")]),
        Told(path="/history/1", events=[]),
    ],
    "GET /users/{user_id}/preferences": [Told(events=[("preferences.read", "done")])],
    "PUT /users/{user_id}/preferences": [
        Told(body={"instructions": "Be brief."}, events=[("preferences.put", "done")]),
        Told(body={}, events=[("preferences.put", "done")]),
    ],
    "POST /sessions": [
        Told(body=BEGIN[2], events=[("session.create", "done")]),
        Told(body=BEGIN[2] | {"prompt": "Hello"}, events=[("session.create", "done")]),
    ],
    "GET /sessions": [
        Told(before=[BEGIN], events=[("session.read", "done")], user=None),
        Told(before=[BEGIN], path="/sessions?user_id=ann", events=[("session.read", "done")]),
    ],
    "GET /sessions/{id}": [
        Told(before=[BEGIN], path="/sessions/1", events=[("session.read", "done")]),
        Told(before=[BEGIN], path="/sessions/1?format=jsonl", events=[("session.read", "done")]),
        Told(path="/sessions/1", events=[]),
    ],
    "PATCH /sessions/{id}": [
        Told(
            before=[BEGIN], path="/sessions/1", body={"title": "More"},
            events=[("session.change", "done")],
        ),
        Told(path="/sessions/1", body={"title": "More"}, events=[]),
    ],
    "DELETE /sessions/{id}": [
        Told(before=[BEGIN, SAY], path="/sessions/1", events=[("session.delete", "done")]),
        Told(path="/sessions/1", events=[]),
    ],
    "POST /sessions/{id}/messages": [
        Told(
            before=[BEGIN], path="/sessions/1/messages", body=SAY[2],
            events=[("session.say", "done"), ("call", "answered"), ("turn", "miss")],
        ),
        Told(
            before=[BEGIN], path="/sessions/1/messages",
            body={"role": "assistant", "content": "Hello"}, events=[("session.import", "done")],
        ),
    ],
    "POST /sessions/{id}/summary": [
        Told(
            before=[BEGIN, SAY], path="/sessions/1/summary",
            events=[("call", "answered"), ("summary", "miss")],
        ),
        Told(
            before=[BEGIN, SAY, ("POST", "/sessions/1/summary", None)],
            path="/sessions/1/summary", events=[("summary", "hit")],
        ),
    ],
    "GET /users/{user_id}/export": [Told(before=[ASK], events=[("user.export", "done")])],
    "DELETE /users/{user_id}": [Told(before=[ASK], events=[("user.erase", "done")])],
    "GET /usage/{user_id}": [Told(events=[("usage.read", "done")])],
    "GET /audit": [
        Told(events=[("audit.read", "done")], user=None),
        Told(path="/audit?user_id=ann", events=[("audit.read", "done")]),
        Told(path="/audit?action=nothing", events=[]),
    ],
    "GET /health": [NOTHING],
    "GET /ready": [NOTHING],
    "GET /metrics": [NOTHING],
}  # fmt: skip


def trail(service: Service) -> list[Booked]:
    with service.process.database.reading() as tx:
        found = tx.trail.newest(EventFilter(limit=1000)).items
    return list(reversed(found))


def test_all_routes_are_in_the_table(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]

    routes = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}

    assert routes == set(ROUTES)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("route", "told"),
    [
        pytest.param(route, told, id=f"{route}-{number}")
        for route, all_told in ROUTES.items()
        for number, told in enumerate(all_told)
    ],
)
def test_each_request_leaves_exactly_its_events(
    start: Callable[..., Service], route: str, told: Told
) -> None:
    service = start(audit_seal_interval=0)
    for method, path, body in told.before:
        assert service.client.request(method, path, json=body).is_success
    before = len(trail(service))
    method, _, template = route.partition(" ")

    path = told.path or template.replace("{user_id}", "ann")
    headers = {"x-request-id": "the-request"} | told.headers
    service.client.request(method, path, json=told.body, headers=headers)

    events = [booked.event for booked in trail(service)[before:]]
    assert [(event.action.value, event.outcome) for event in events] == told.events
    assert {event.request_id for event in events} <= {"the-request"}
    assert {event.user_id for event in events} <= {told.user}
    assert {event.tenant for event in events} <= {"default"}


def test_a_failed_call_leaves_its_event(service: Service, provider: FakeProvider) -> None:
    provider.will(ProviderRejectedError("claude", "http-401"))

    service.client.post("/analyze/ann", json=ASKED, headers={"x-request-id": "lost"})

    (booked,) = trail(service)
    event = booked.event
    assert (event.action, event.outcome, event.user_id) == (Action.CALL, "failed", "ann")
    assert (event.request_id, event.about) == ("lost", {"attempt": 1, "reason": "http-401"})


def test_a_repeat_is_booked_as_one(service: Service) -> None:
    for _ in range(2):
        service.client.post("/analyze/ann", json=ASKED, headers={"idempotency-key": "one"})

    assert [one.event.outcome for one in trail(service)] == ["answered", "miss", "replay"]
    usage = service.client.get("/usage/ann").json()["total"]
    assert (usage["spent"]["calls"], usage["saved"]["replays"]) == (1, 1)


def test_the_trail_never_holds_what_was_said(service: Service, provider: FakeProvider) -> None:
    provider.will("SECRET answer")
    for method, path, body in [
        ("POST", "/analyze/ann", {"text": "SECRET", "instructions": "SECRET"}),
        ("POST", "/sessions", {"title": "SECRET", "user_id": "ann", "prompt": "SECRET"}),
        ("POST", "/sessions/1/messages", {"role": "user", "content": "SECRET"}),
        ("PUT", "/users/ann/preferences", {"instructions": "SECRET"}),
    ]:
        service.client.request(method, path, json=body)

    told = service.client.get("/audit?limit=100").text

    assert len(trail(service)) > 5
    assert "SECRET" not in told + str(trail(service))


def test_tells_what_was_spent_and_what_was_saved(service: Service) -> None:
    for _ in range(3):
        service.client.post("/analyze/ann", json=ASKED)
    service.client.post("/analyze/bob", json=ASKED)

    usage = service.client.get("/usage/ann?group_by=provider").json()

    (item,) = usage["items"]
    assert (usage["user_id"], usage["group_by"], item["name"]) == ("ann", "provider", "claude")
    assert item["spent"] == {
        "calls": 1,
        "failed": 0,
        "tokens_in": 4,
        "tokens_out": 7,
        "tokens_used": 11,
        "cost_usd": "0.000123",
        "unpriced": 0,
    }
    assert item["saved"] == {
        "calls": 2,
        "hits": 2,
        "collapsed": 0,
        "replays": 0,
        "tokens_in": 8,
        "tokens_out": 14,
        "tokens_used": 22,
        "cost_usd": "0.000246",
        "unpriced": 0,
    }
    assert usage["total"] == {"spent": item["spent"], "saved": item["saved"]}


def test_a_price_that_is_not_known_is_null(service: Service, provider: FakeProvider) -> None:
    provider.will(an_answer(cost=None))
    service.client.post("/analyze/ann", json=ASKED)
    service.client.post("/analyze/ann", json=ASKED)

    total = service.client.get("/usage/ann").json()["total"]

    assert (total["spent"]["cost_usd"], total["spent"]["unpriced"]) == (None, 1)
    assert (total["saved"]["cost_usd"], total["saved"]["unpriced"]) == (None, 1)


def test_whoever_did_nothing_spent_nothing(client: TestClient) -> None:
    usage = client.get("/usage/nobody").json()

    assert usage["items"] == []
    assert usage["total"]["spent"]["cost_usd"] == "0.000000"


def test_days_can_be_chosen(client: TestClient) -> None:
    with freeze_time("2026-11-20 23:59:59"):
        client.post("/analyze/ann", json={"text": "first"})
    with freeze_time("2026-11-21 00:00:00"):
        client.post("/analyze/ann", json={"text": "second"})

    def days(query: str) -> list[str]:
        items = client.get(f"/usage/ann?{query}").json()["items"]
        return [item["name"] for item in items]

    assert days("") == ["2026-11-20", "2026-11-21"]
    assert days("since=2026-11-21") == ["2026-11-21"]
    assert days("until=2026-11-21") == ["2026-11-20"]
    assert days("until=2026-11-21T00:00:01Z") == ["2026-11-20", "2026-11-21"]
    assert days("since=2026-11-21T05:00:00%2B05:00") == ["2026-11-21"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/usage/ann?group_by=hour", "group_by"),
        ("/usage/ann?since=yesterday", "since"),
        ("/usage/ann?until=x", "until"),
        ("/audit?action=dance", "action"),
        ("/audit?limit=0", "limit"),
        ("/audit?user_id=a%20b", "user_id"),
        ("/audit?since=x", "since"),
    ],
)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_names_the_field_that_is_wrong(client: TestClient, path: str, field: str) -> None:
    reply = client.get(path)

    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == [field]


def test_the_trail_is_shown_page_by_page(client: TestClient) -> None:
    for number in range(3):
        client.post("/analyze/ann", json={"text": f"text {number}"})

    seen: list[int] = []
    cursor = ""
    while True:
        page = client.get(f"/audit?limit=2&action=analyze{cursor}").json()
        seen += [item["about"]["analysis"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert seen == [3, 2, 1]


def test_what_was_deleted_can_still_be_proved(service: Service) -> None:
    service.client.post("/analyze/ann", json=ASKED)
    service.client.delete("/history/1")

    deleted, given, called = service.client.get("/audit?user_id=ann").json()["items"]

    assert (deleted["action"], deleted["about"]) == ("history.delete", {"analysis": 1})
    assert given["about"] == {"analysis": 1, "answer": 1}
    assert len(given["digest"]) == 64
    assert (called["tokens_in"], called["cost_usd"]) == (4, "0.000123")
