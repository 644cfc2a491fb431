"""Two replicas behind the shipped nginx configuration: one dies, PostgreSQL restarts."""

import http.client
import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import proxy
from tests.e2e.asking import Call, Reply, analyze, at_once, get, history, question, under_way
from tests.e2e.outages import Postgres, own_postgres
from tests.e2e.proxy import Nginx
from tests.e2e.records import outcomes
from tests.e2e.test_streams import SLOW, WORDS, Stream
from tests.serving import Server, Servers, until
from tests.stub.client import StubProvider

if not proxy.is_installed():
    pytest.skip("nginx is not there (Debian: apt-get install nginx-light)", allow_module_level=True)

# Who is not heard of for 2.25 s is replaced: long enough for a machine that stalls.
LIVELY = {"ASKONCE_HEARTBEAT": 0.5, "ASKONCE_LEASE": 1}


@dataclass(frozen=True, slots=True)
class Site:
    """All of it: what clients reach is nginx. `given` is what they were answered with."""

    nginx: Nginx
    first: Server
    second: Server
    postgres: Postgres
    stub: StubProvider
    given: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def site(servers: Servers, stub: StubProvider, tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as running:
        postgres = running.enter_context(own_postgres(tmp_path))
        first, second = (servers.begin(postgres.url, **LIVELY) for _ in range(2))
        first.wait_until_ready()
        second.wait_until_ready()
        nginx = running.enter_context(Nginx(tmp_path / "nginx", first, second))
        yield Site(nginx, first, second, postgres, stub)


def test_nothing_is_lost_when_a_replica_dies_and_the_database_restarts(site: Site) -> None:
    all_is_well(site)
    session = begin_to_talk(site)
    stream = Stream(site.nginx, f"A stream {SLOW}")
    assert next(stream.events()).name == "delta", "it goes out as it comes in"

    a_replica_dies(site, session, stream)
    the_database_restarts(site, session)

    kept = {row["id"]: row["result"] for row in history(site.nginx)}
    assert {answer["id"]: kept.get(answer["id"]) for answer in site.given} == {
        answer["id"]: answer["result"] for answer in site.given
    }
    assert analyze(site.nginx, "Question 0").json["cached"]
    until(lambda: "open" not in outcomes(site.postgres.url))
    thread = get(site.nginx, f"/sessions/{session}").json["messages"]
    assert sorted(message["role"] for message in thread) == ["assistant"] * 2 + ["user"] * 2
    assert site.nginx.log() == ""


def all_is_well(site: Site) -> None:
    replies = at_once([question(site.nginx, f"Question {number}") for number in range(12)])

    assert [reply.status for reply in replies] == [200] * 12
    assert all("/analyze" in server.log() for server in (site.first, site.second))
    site.given.extend(reply.json for reply in replies)


def begin_to_talk(site: Site) -> int:
    body = json.dumps({"title": "Caches", "user_id": "sue"}).encode()
    session = at_once([Call(port=site.nginx.port, path="/sessions", body=body)])[0].json["id"]

    assert at_once([say(site, session, "What is a cache?")])[0].status == 200
    return int(session)


def say(site: Site, session: int, content: str) -> Call:
    body = json.dumps({"role": "user", "content": content}).encode()
    return Call(port=site.nginx.port, path=f"/sessions/{session}/messages", body=body)


def a_replica_dies(site: Site, session: int, stream: Stream) -> None:
    """It dies over calls of its own, and over some that clients of the other one wait for."""
    held = [question(site.nginx, f"Held {number} [[held=start times=1]]") for number in range(8)]
    same = [question(site.nginx, "The same [[held=start times=1]]")] * 4
    calls = [*held, *same, say(site, session, "And then? [[held=start times=1]]")]
    before = len(site.stub.calls())

    with under_way(*calls) as replies:
        until(lambda: len(site.stub.calls()) == before + len(held) + 2)
        site.first.kill()
        site.stub.let_go()
        first_tries = replies()
    cut = [reply for reply in first_tries if reply.status != 200]
    repeats = [repeated(*tried) for tried in zip(calls, first_tries, strict=True)]
    streamed = rest(stream) or rest(Stream(site.nginx, f"A stream {SLOW}"))

    assert cut, "nothing was in flight at the replica that died"
    assert {(reply.status, reply.problem, reply.headers["retry-after"]) for reply in cut} == {
        (503, "no-replica", "1")
    }
    assert len({reply.json["result"] for reply in repeats[len(held) : -1]}) == 1
    assert streamed is not None
    assert streamed["result"] == WORDS
    site.given.extend([*(reply.json for reply in repeats[:-1]), streamed])


def rest(stream: Stream) -> dict[str, Any] | None:
    """Return the answer at a stream's end; None where it has broken off."""
    answer = None
    with suppress(http.client.IncompleteRead):
        for event in stream.events():
            if event.name == "done":
                answer = event.data
    stream.close()
    return answer


def repeated(call: Call, reply: Reply) -> Reply:
    """Do what a client does: repeat what was answered with 503, until it is answered."""
    tries = [reply]

    def is_answered() -> bool:
        assert tries[-1].status in (200, 503)
        if tries[-1].status == 503:
            tries.append(at_once([call])[0])
        return tries[-1].status == 200

    until(is_answered)
    return tries[-1]


def the_database_restarts(site: Site, session: int) -> None:
    """It is cut off, as by a power cut, while a call is in flight."""
    site.stub.reset()
    late = question(site.nginx, "Late [[held=start]]")

    with under_way(late) as replies:
        until(lambda: len(site.stub.calls()) == 1)
        site.postgres.crash()
        away = at_once([question(site.nginx, "Question 0"), say(site, session, "Hello?")])
        site.stub.let_go()
        until(lambda: site.stub.state()["running"] == 0)
        site.postgres.start()
        reply = replies()[0]
    until(lambda: get(site.nginx, "/health").status == 200)

    assert {(answer.status, answer.problem) for answer in away} == {(503, "database-unavailable")}
    assert reply.status == 200
    assert len(site.stub.calls()) == 1
    site.given.append(reply.json)
