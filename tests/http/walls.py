"""Keys of every kind in one database, and what each of them may do with what is Alice's."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, cast

from fastapi import FastAPI
from httpx2 import Response
from starlette.routing import Route

from askonce.core.access import Role
from askonce.core.clock import SystemClock
from askonce.db.database import SqlDatabase
from askonce.http.console.files import paths as console_files
from askonce.services.keys import Keys
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service

# Stands in all that Alice has.
MARKER = "alice-alone-xyzzy"


class Who(Enum):
    """Everybody there is. All but the last are of the tenant `default`, or nobody."""

    NOBODY = auto()
    WRONG = auto()
    REVOKED = auto()
    BOB = auto()
    STRANGER = auto()  # an admin of another tenant
    ALICE = auto()
    SERVICE = auto()
    ADMIN = auto()


class Reach(Enum):
    """Who may call a route that is about Alice."""

    PUBLIC = auto()
    # Any good key; what it reaches depends on the key.
    KEYS = auto()
    # The path names Alice.
    OF_USER = auto()
    # The path has the id of something of Alice's: to others it looks absent.
    BY_ID = auto()
    ADMINS = auto()
    # A page of the console: no key that a header brings opens it (test_console_walls.py).
    COOKIES = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One route. `stranger` is what an admin of another tenant gets for his own user `alice`.

    Where it `shows`, those who may call it see what is Alice's. `query` is added to the path.
    """

    reach: Reach
    ok: int = 200
    stranger: int = 200
    shows: bool = False
    query: str = ""
    body: Any = None

    def expected(self, who: Who) -> tuple[int, bool]:
        """Return the status, and whether anything of Alice's is to be seen."""
        status = self._status(who)
        is_let_in = who in _LET_IN[self.reach]
        return status, self.shows and is_let_in

    def _status(self, who: Who) -> int:
        if who in _LET_IN[self.reach]:
            return self.ok
        if who in _NO_KEY or self.reach is Reach.COOKIES:
            return 401
        if who is Who.STRANGER:
            return self.stranger if self.reach in (Reach.OF_USER, Reach.ADMINS) else 404
        return 404 if self.reach is Reach.BY_ID else 403


_NO_KEY = {Who.NOBODY, Who.WRONG, Who.REVOKED}
_LET_IN = {
    Reach.PUBLIC: set(Who),
    Reach.KEYS: set(Who) - _NO_KEY,
    Reach.OF_USER: {Who.ALICE, Who.SERVICE, Who.ADMIN},
    Reach.BY_ID: {Who.ALICE, Who.SERVICE, Who.ADMIN},
    Reach.ADMINS: {Who.ADMIN},
    Reach.COOKIES: set(),
}

# Every route of the application has a row here; a new one gets one, and is thereby tested.
MATRIX: dict[str, Row] = {
    "POST /analyze/{user_id}": Row(reach=Reach.OF_USER, body={"text": "a question"}),
    "GET /history/{user_id}": Row(reach=Reach.OF_USER, shows=True),
    "GET /history/{user_id}/{id}": Row(reach=Reach.OF_USER, shows=True, stranger=404),
    "DELETE /history/{id}": Row(reach=Reach.BY_ID, ok=204),
    "POST /sessions": Row(reach=Reach.KEYS, ok=201, body={"title": "a title"}),
    "GET /sessions": Row(reach=Reach.OF_USER, shows=True, query="?user_id=alice"),
    "GET /sessions/{id}": Row(reach=Reach.BY_ID, shows=True),
    "PATCH /sessions/{id}": Row(reach=Reach.BY_ID, body={"model": "m"}, shows=True),
    "DELETE /sessions/{id}": Row(reach=Reach.BY_ID, ok=204),
    "POST /sessions/{id}/messages": Row(
        reach=Reach.BY_ID, body={"role": "user", "content": "a message"}, shows=True
    ),
    "POST /sessions/{id}/summary": Row(reach=Reach.BY_ID),
    "GET /users/{user_id}/preferences": Row(reach=Reach.OF_USER, shows=True),
    "PUT /users/{user_id}/preferences": Row(reach=Reach.OF_USER, body={"model": "m"}),
    "GET /users/{user_id}/export": Row(reach=Reach.OF_USER, shows=True),
    "DELETE /users/{user_id}": Row(reach=Reach.OF_USER),
    "GET /usage/{user_id}": Row(reach=Reach.OF_USER),
    "GET /audit": Row(reach=Reach.ADMINS),
    "GET /health": Row(reach=Reach.PUBLIC),
    "GET /ready": Row(reach=Reach.PUBLIC),
    "GET /metrics": Row(reach=Reach.PUBLIC),
    "GET /openapi.json": Row(reach=Reach.PUBLIC),
    "GET /docs": Row(reach=Reach.PUBLIC),
    "GET /docs/static/docs.js": Row(reach=Reach.PUBLIC),
    "GET /docs/static/favicon.png": Row(reach=Reach.PUBLIC),
    "GET /docs/static/swagger-ui-bundle.js": Row(reach=Reach.PUBLIC),
    "GET /docs/static/swagger-ui.css": Row(reach=Reach.PUBLIC),
    "GET /": Row(reach=Reach.COOKIES),
    "GET /console/sign-in": Row(reach=Reach.PUBLIC),
    # Whoever sends no form of ours.
    "POST /console/sign-in": Row(reach=Reach.PUBLIC, ok=403),
    "POST /console/sign-out": Row(reach=Reach.COOKIES),
    "POST /console/ask": Row(reach=Reach.COOKIES),
    "GET /console/conversations": Row(reach=Reach.COOKIES),
    "POST /console/conversations": Row(reach=Reach.COOKIES),
    "GET /console/conversations/{id}": Row(reach=Reach.COOKIES),
    "POST /console/conversations/{id}/rename": Row(reach=Reach.COOKIES),
    "POST /console/conversations/{id}/delete": Row(reach=Reach.COOKIES),
    "POST /console/conversations/{id}/messages": Row(reach=Reach.COOKIES),
    "GET /console/history": Row(reach=Reach.COOKIES),
    "GET /console/history/export": Row(reach=Reach.COOKIES),
    "POST /console/history/{id}/delete": Row(reach=Reach.COOKIES),
    "GET /console/usage": Row(reach=Reach.COOKIES),
    "GET /console/live": Row(reach=Reach.COOKIES),
    "GET /console/live/levels": Row(reach=Reach.COOKIES),
    "GET /console/audit": Row(reach=Reach.COOKIES),
    **{f"GET {path}": Row(reach=Reach.PUBLIC) for path in console_files()},
}


@dataclass(slots=True)
class World:
    """A running application with everybody's keys."""

    service: Service
    provider: FakeProvider
    texts: dict[Who, str] = field(repr=False)

    def ask(self, who: Who, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """Send a request with somebody's key."""
        if who in self.texts:
            headers["authorization"] = f"Bearer {self.texts[who]}"
        return self.service.client.request(method, path, json=body, headers=headers)

    def of_alice(self) -> dict[str, int]:
        """Let Alice have something of each kind, and return the ids."""
        analysis = self.ask(Who.ALICE, "POST", "/analyze/alice", {"text": MARKER})
        session = self.ask(Who.ALICE, "POST", "/sessions", {"title": MARKER, "prompt": MARKER})
        self.ask(Who.ALICE, "PUT", "/users/alice/preferences", {"instructions": MARKER})
        return {"history": analysis.json()["id"], "sessions": session.json()["id"]}


def routes(service: Service) -> set[str]:
    """Return all routes of an application, as `MATRIX` has them."""
    app = cast("FastAPI", service.app.edge.app)
    found = (cast("Route", route) for route in app.routes)
    return {
        f"{method} {route.path}" for route in found for method in (route.methods or {""}) - {"HEAD"}
    }


def path_of(route: str, ids: dict[str, int]) -> tuple[str, str]:
    """Return method and path of a route for what is Alice's."""
    method, path = route.split(" ")
    kind = path.split("/")[1]
    return method, path.format(user_id="alice", id=ids.get(kind, 0))


def world(database_url: str, **changes: Any) -> Iterator[World]:
    """Run an application in whose database each kind of key is."""
    texts = {
        Who.WRONG: "ask_" + "A" * 43,
        **dict(_keys(database_url)),
    }
    provider = FakeProvider("claude")
    service = Service(database_url, provider, **changes)
    with service.client:
        yield World(service, provider, texts)
        provider.let_go()


def _keys(database_url: str) -> Iterator[tuple[Who, str]]:
    database = SqlDatabase(database_url, pool_size=1)
    keys = Keys(database=database, clock=SystemClock(), random_bytes=secrets.token_bytes)
    for who, tenant, role, user_id in (
        (Who.REVOKED, "default", Role.ADMIN, None),
        (Who.BOB, "default", Role.USER, "bob"),
        (Who.STRANGER, "other", Role.ADMIN, None),
        (Who.ALICE, "default", Role.USER, "alice"),
        (Who.SERVICE, "default", Role.SERVICE, None),
        (Who.ADMIN, "default", Role.ADMIN, None),
    ):
        yield who, keys.create(who.name, tenant=tenant, role=role, user_id=user_id).text
    keys.revoke(Who.REVOKED.name, tenant="default")
    database.close()
