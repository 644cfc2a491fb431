"""Who sees what: every route, with every kind of key, for what is one's own and what is not."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from httpx2 import Response

from tests.http.walls import MARKER, MATRIX, Who, World, path_of, routes, world

PLAIN = "application/json"
# The same to everybody, but spelled so that the short way leaves it alone.
ON_ITS_ROUTE = "application/json; charset=utf-8"
PAID = "askonce; fwd=uri-miss; stored"


def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_templates").copy())


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def everybody(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from world(url(request))


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def apart(request: pytest.FixtureRequest) -> Iterator[World]:
    """Return a world in which users share no answers."""
    yield from world(url(request), cache_scope="user")


def same(response: Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return what two answers have in common that are to look the same."""
    own = {"request_id", "x-request-id"}
    body = {name: value for name, value in response.json().items() if name not in own}
    headers = {name: value for name, value in response.headers.items() if name not in own}
    return response.status_code, body, headers


def test_every_route_has_a_row(everybody: World) -> None:
    assert routes(everybody.service) == set(MATRIX)


@pytest.mark.parametrize("route", MATRIX)
def test_each_key_reaches_what_is_its_own(everybody: World, route: str) -> None:
    row = MATRIX[route]
    ids = everybody.of_alice()
    seen = {}

    for who in Who:
        method, path = path_of(route, ids)
        answered = everybody.ask(who, method, path + row.query, row.body)
        seen[who] = (answered.status_code, MARKER in answered.text)
        if answered.status_code < 400 and method != "GET":
            ids = everybody.of_alice()

    assert seen == {who: row.expected(who) for who in Who}


@pytest.mark.parametrize("path", ["/history/{}", "/sessions/{}"])
def test_what_is_not_yours_looks_as_if_it_were_not_there(everybody: World, path: str) -> None:
    ids = everybody.of_alice()
    mine = path.format(ids[path.split("/")[1]])

    foreign = everybody.ask(Who.BOB, "DELETE", mine)
    absent = everybody.ask(Who.BOB, "DELETE", path.format(2**62))

    assert same(foreign) == same(absent)


@pytest.mark.parametrize("content_type", [PLAIN, ON_ITS_ROUTE])
def test_all_that_is_no_good_key_reads_the_same(everybody: World, content_type: str) -> None:
    good, other = everybody.texts[Who.ALICE], everybody.texts[Who.ADMIN]
    refused = [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {good}"},
        {"authorization": f"Bearer {good[:-1]}"},
        {"authorization": f"Bearer {good},{good}"},
        {"authorization": f"Bearer {everybody.texts[Who.WRONG]}"},
        {"authorization": f"Bearer {everybody.texts[Who.REVOKED]}"},
        {"authorization": f"Bearer {good}", "x-api-key": other},
        {"authorization": f"Bearer {good}", "x-api-key": ""},
        {"x-api-key": f"Bearer {good}"},
        {"cookie": f"key={good}"},
    ]

    answers = [
        everybody.service.client.post(
            "/analyze/alice",
            content=b'{"text": "hello"}',
            headers={"content-type": content_type, **headers},
        )
        for headers in refused
    ]

    assert [answer.status_code for answer in answers] == [401] * len(answers)
    assert all(same(answer) == same(answers[0]) for answer in answers)
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert answers[0].json()["type"] == "unauthenticated"
    assert not any(good in answer.text for answer in answers)


@pytest.mark.parametrize("content_type", [PLAIN, ON_ITS_ROUTE])
@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "BEARER   {}", None])
def test_a_key_may_be_sent_in_several_ways(
    everybody: World, content_type: str, header: str | None
) -> None:
    key = everybody.texts[Who.ALICE]
    sent = {"x-api-key": key} if header is None else {"authorization": header.format(key)}

    answered = everybody.service.client.post(
        "/analyze/alice",
        content=b'{"text": "hello"}',
        headers={"content-type": content_type, **sent},
    )

    assert answered.status_code == 200


@pytest.mark.parametrize("content_type", [PLAIN, ON_ITS_ROUTE])
def test_nobody_asks_for_another_user(everybody: World, content_type: str) -> None:
    calls = len(everybody.provider.calls)

    refused = everybody.ask(
        Who.BOB, "POST", "/analyze/alice", {"text": "new"}, **{"content-type": content_type}
    )

    assert (refused.status_code, refused.json()["type"]) == (403, "forbidden")
    assert len(everybody.provider.calls) == calls


def test_nothing_that_a_client_claims_about_itself_lets_it_in(everybody: World) -> None:
    claims = {
        "host": "localhost",
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-host": "localhost",
        "x-original-url": "/health",
        "x-rewrite-url": "/health",
        "x-http-method-override": "GET",
        "forwarded": "for=127.0.0.1",
        "x-user-id": "alice",
        "x-tenant": "default",
    }

    for path in ("/history/alice", "/history/alice?path=/health", "/history/alice#/health"):
        assert everybody.ask(Who.NOBODY, "GET", path, **claims).status_code == 401
    assert everybody.ask(Who.BOB, "GET", "/history/alice", **claims).status_code == 403


def test_a_session_belongs_to_the_user_of_its_key_else_to_who_is_named(everybody: World) -> None:
    def begin(who: Who, **body: str) -> Any:
        return everybody.ask(who, "POST", "/sessions", {"title": "x", **body}).json()

    assert begin(Who.ALICE)["user_id"] == "alice"
    assert begin(Who.ALICE, user_id="alice")["user_id"] == "alice"
    assert begin(Who.SERVICE)["user_id"] == "anonymous"
    assert begin(Who.SERVICE, user_id="bob")["user_id"] == "bob"
    assert begin(Who.BOB, user_id="alice")["type"] == "forbidden"


def test_a_list_of_all_sessions_holds_what_the_key_reaches(everybody: World) -> None:
    everybody.of_alice()
    everybody.ask(Who.BOB, "POST", "/sessions", {"title": "bob's"})
    everybody.ask(Who.STRANGER, "POST", "/sessions", {"title": "the stranger's"})

    def users(who: Who) -> set[str]:
        listed = everybody.ask(who, "GET", "/sessions?limit=100").json()["items"]
        return {session["user_id"] for session in listed}

    assert users(Who.ALICE) == {"alice"}
    assert users(Who.BOB) == {"bob"}
    assert users(Who.SERVICE) >= {"alice", "bob"}
    assert users(Who.STRANGER) == {"anonymous"}


@pytest.mark.parametrize(
    ("path", "body"),
    [("/analyze/alice", {"text": "hello"}), ("/sessions", {"title": "x", "user_id": "alice"})],
)
def test_an_idempotency_key_counts_for_one_key_alone(
    everybody: World, path: str, body: Any
) -> None:
    sent = {"idempotency-key": f"once {path}"}

    first = everybody.ask(Who.ALICE, "POST", path, body, **sent)
    again = everybody.ask(Who.ALICE, "POST", path, body, **sent)
    other = everybody.ask(Who.SERVICE, "POST", path, {**body}, **sent)

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert other.json()["id"] != first.json()["id"]
    assert "idempotent-replayed" not in other.headers


def test_another_key_can_use_an_idempotency_key_for_something_else(everybody: World) -> None:
    sent = {"idempotency-key": "twice"}

    everybody.ask(Who.ALICE, "POST", "/analyze/alice", {"text": "one"}, **sent)
    other = everybody.ask(Who.SERVICE, "POST", "/analyze/alice", {"text": "two"}, **sent)

    assert other.status_code == 200


def test_tenants_share_no_answer(everybody: World) -> None:
    for who, cached in ((Who.ALICE, False), (Who.SERVICE, True), (Who.STRANGER, False)):
        answered = everybody.ask(who, "POST", "/analyze/alice", {"text": "whose?"})
        assert answered.json()["cached"] is cached


def test_tenants_share_no_call_in_flight(everybody: World) -> None:
    together = asked_together(everybody, Who.SERVICE, Who.STRANGER, calls=2)

    assert together == [PAID, PAID]


def test_users_of_a_tenant_share_a_call_in_flight(everybody: World) -> None:
    together = asked_together(everybody, Who.BOB, Who.SERVICE, calls=1)

    assert together != [PAID, PAID]


def test_with_the_scope_of_a_user_users_share_no_answer(apart: World) -> None:
    ask = {"text": "whose?"}

    first = apart.ask(Who.ALICE, "POST", "/analyze/alice", ask)
    others = [
        apart.ask(Who.BOB, "POST", "/analyze/bob", ask),
        apart.ask(Who.SERVICE, "POST", "/analyze/carol", ask),
        apart.ask(Who.STRANGER, "POST", "/analyze/alice", ask),
    ]
    again = apart.ask(Who.SERVICE, "POST", "/analyze/alice", ask)

    statuses = [one.headers["cache-status"] for one in [first, *others]]
    assert statuses == [PAID] * 4
    assert not any("age" in one.headers or one.json()["cached"] for one in others)
    assert again.headers["cache-status"].startswith("askonce; hit")
    only = {"cache-control": "only-if-cached"}
    assert apart.ask(Who.SERVICE, "POST", "/analyze/dave", ask, **only).status_code == 504


def test_with_the_scope_of_a_user_users_share_no_call_in_flight(apart: World) -> None:
    assert asked_together(apart, Who.ALICE, Who.BOB, calls=2) == [PAID, PAID]


def test_with_the_scope_of_a_user_users_share_no_reply(apart: World) -> None:
    for who in (Who.ALICE, Who.BOB):
        session = apart.ask(who, "POST", "/sessions", {"title": "x"}).json()["id"]
        said = {"role": "user", "content": "the same"}
        took = apart.ask(who, "POST", f"/sessions/{session}/messages", said)
        assert took.headers["cache-status"] == PAID


def asked_together(here: World, *askers: Who, calls: int) -> list[str]:
    """Have two ask one question at one time, and return what became of each, sorted.

    The calls are held until there are so many; afterwards there must be no more.
    """
    before = len(here.provider.calls)
    here.provider.hold()
    statuses: list[str] = []

    def ask(who: Who) -> None:
        user = who.name.lower() if who in (Who.ALICE, Who.BOB) else "carol"
        answered = here.ask(who, "POST", f"/analyze/{user}", {"text": f"together {before}"})
        statuses.append(answered.headers["cache-status"])

    threads = [threading.Thread(target=ask, args=(who,)) for who in askers]
    for thread in threads:
        thread.start()
    here.provider.wait_for_calls(before + calls)
    here.provider.let_go()
    for thread in threads:
        thread.join()
    assert len(here.provider.calls) == before + calls
    return sorted(statuses)
