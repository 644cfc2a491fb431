"""Nothing that was said, answered or kept secret stands in what a service writes about its work."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql

from askonce.db.database import SqlDatabase
from tests.e2e.asking import Call, Reply, at_once, raw
from tests.fuzz.run import admin_key
from tests.serving import Server, Servers
from tests.stub.client import StubProvider

# Each stands in one kind of place alone.
TEXT = "leakoftext"
ANSWER = "leakofanswer"
INSTRUCTIONS = "leakofinstructions"
SCHEMA = "leakofschema"
TITLE = "leakoftitle"
CONTENT = "leakofcontent"
IDEMPOTENCY = "leakofidempotencykey"
PROVIDER_KEY = "sk-leakofproviderkey"
ALL = (TEXT, ANSWER, INSTRUCTIONS, SCHEMA, TITLE, CONTENT, IDEMPOTENCY, PROVIDER_KEY)
OBJECT = {"type": "object", "properties": {SCHEMA: {"type": "string"}}, "required": [SCHEMA]}

ABOUT_WORK = (
    "api_keys",
    "attempts",
    "audit_events",
    "audit_seals",
    "erasures",
    "flights",
    "idempotency_keys",
    "rate_limits",
    "usage_daily",
)

# What the stub does with a question that says so in it.
MODES = [
    f"text={ANSWER}",
    "400 echo=yes",
    "401 echo=yes",
    "403 echo=yes",
    "404 echo=yes",
    "429 echo=yes",
    "500 echo=yes",
    "529 echo=yes",
    "too-long echo=yes",
    "quota echo=yes",
    "reset",
    "cut",
    "malformed",
    "html",
    "shapeless",
    "empty",
    "failed",
    "redirect",
    "nul",
    "surrogate",
    "endless",
    "slow=30",
]


@dataclass(slots=True)
class World:
    """A server at DEBUG, with everything that it has told anybody since its start."""

    server: Server
    key: str
    problems: list[bytes] = field(default_factory=list)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Call:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Call(
            port=self.server.port,
            method=method,
            path=path,
            body=b"" if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self.key}", **named},
        )

    def make(self, *calls: Call) -> list[Reply]:
        """Make calls, and remember the bodies of all that went wrong."""
        replies = at_once(calls)
        self.problems += [reply.body for reply in replies if reply.status >= 400]
        return replies


@pytest.fixture
def world(servers: Servers, database_url: str) -> World:
    key = admin_key(database_url)
    server = servers.start(
        database_url,
        OPENAI_API_KEY=PROVIDER_KEY,
        ASKONCE_LOG_LEVEL="DEBUG",
        ASKONCE_MAX_TRIES=1,
        ASKONCE_PROVIDER_TIMEOUT=2,
        ASKONCE_DEADLINE=4,
        ASKONCE_REQUEST_TIMEOUT=1,
        ASKONCE_HEARTBEAT=0.2,
        ASKONCE_LEASE=1,
    )
    return World(server, key)


def ask(world: World, mode: str, **changes: Any) -> Call:
    body = {"text": f"{TEXT} [[{mode}]]", "instructions": INSTRUCTIONS, **changes}
    return world.call("POST", "/analyze/ann", body, idempotency_key=f"{IDEMPOTENCY} {mode}")


def provoke(world: World) -> None:
    """Let everything happen that can happen, good and bad."""
    world.make(*(ask(world, mode) for mode in MODES))
    world.make(
        *(
            world.call(
                "POST", "/analyze/ann", {"text": f"{TEXT} s [[{m}]]"}, accept="text/event-stream"
            )
            for m in MODES[:8]
        ),
        ask(world, f"text={ANSWER}", output_schema=OBJECT),
        ask(world, "ok", output_schema={**OBJECT, "$ref": f"http://{SCHEMA}.invalid/"}),
        ask(world, "ok", output_schema={"pattern": f"({SCHEMA}"}),
        ask(world, "ok", provider="nobody", model=TEXT),
        world.call("POST", "/analyze/ann", {"text": f"{TEXT}\0", "unknown": TEXT}),
        world.call("POST", "/analyze/ann", {"text": TEXT}, cache_control="only-if-cached"),
        world.call("POST", f"/analyze/{TEXT}!", {"text": TEXT}),
        world.call("GET", f"/history/ann?q={TEXT}&cursor={TEXT}&since={TEXT}"),
        world.call("GET", f"/history/ann?q={TEXT}"),
        world.call("PUT", "/users/ann/preferences", {"instructions": f"{INSTRUCTIONS}\0"}),
    )
    (begun,) = world.make(
        world.call("POST", "/sessions", {"title": TITLE, "prompt": CONTENT, "user_id": "ann"})
    )
    path = f"/sessions/{begun.json['id']}"
    for content in (CONTENT, f"{CONTENT} [[401 echo=yes]]", f"{CONTENT} [[500 echo=yes]]"):
        world.make(world.call("POST", f"{path}/messages", {"role": "user", "content": content}))
    world.make(world.call("PATCH", path, {"title": f"{TITLE}\0"}))
    world.make(
        world.call("GET", "/users/ann/export"),
        world.call("DELETE", "/users/bob"),
        world.call("GET", "/sessions/99"),
        world.call("GET", "/history/ann", authorization=f"Bearer {world.key[:-1]}x"),
    )
    garbage = f'POST /analyze/ann HTTP/1.1\r\nx: {TEXT}\r\nbad header\r\n\r\n{{"text": "{TEXT}'
    world.problems.append(raw(world.server, garbage.encode()).body)


def break_down(world: World, database_url: str) -> None:
    """Let requests crash in the middle of their statements."""
    database = SqlDatabase(database_url)
    with database.transaction() as tx:
        tx.connection.execute(sql("ALTER TABLE answers RENAME TO gone"))
    world.make(
        ask(world, f"slow=0 text={ANSWER}"),
        world.call("GET", f"/history/ann?q={TEXT}"),
        world.call("GET", "/users/ann/export"),
        world.call("DELETE", "/users/ann"),
    )
    with database.transaction() as tx:
        tx.connection.execute(sql("ALTER TABLE gone RENAME TO answers"))
    database.close()


def written(database_url: str) -> str:
    """Return what stands in tables that are about work, not about what was said."""
    database = SqlDatabase(database_url)
    told: list[str] = []
    with database.reading() as tx:
        for table in ABOUT_WORK:
            rows = tx.connection.execute(sql(f"SELECT * FROM {table}"))  # noqa: S608 - our tables
            told += [repr(tuple(row)) for row in rows]
    database.close()
    return "\n".join(told)


def test_no_marker_is_in_what_a_service_writes(
    world: World, servers: Servers, stub: StubProvider, database_url: str, tmp_path: Path
) -> None:
    provoke(world)
    break_down(world, database_url)
    public = [world.call("GET", path) for path in ("/openapi.json", "/metrics", "/health")]
    shown = b"".join(reply.body for reply in at_once(public))
    statuses = {json.loads(problem)["status"] for problem in world.problems if problem[:1] == b"{"}
    world.server.kill()
    servers.start(database_url, ASKONCE_LOG_LEVEL="DEBUG")
    logs = "".join(path.read_text() for path in tmp_path.rglob("stderr"))
    names = "\n".join(str(path) for path in tmp_path.rglob("*"))

    assert len(stub.calls()) > len(MODES)
    assert "provider_gave_up" in logs
    # SQLite calls a table that is gone what it calls a disk that is gone.
    assert {400, 401, 404, 422, 502, 504} <= statuses
    assert statuses & {500, 503}
    secret = (*ALL, world.key, world.key[10:])
    for marker in secret:
        assert marker not in logs
        assert marker not in names
        assert marker not in written(database_url)
        assert marker.encode() not in shown
        for problem in world.problems:
            assert marker.encode() not in problem
    # Nor a driver's own words, which may quote values.
    assert "[SQL" not in logs
    assert "sqlalche.me" not in logs
