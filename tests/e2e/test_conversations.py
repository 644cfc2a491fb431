"""Conversations over real sockets: long ones, crashes in the middle, two speakers at one moment."""

import json
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.e2e.asking import Call, Reply, at_once, get, under_way
from tests.e2e.records import outcomes
from tests.serving import Server, Servers, until
from tests.stub.client import StubProvider

HELD = "Will this be answered? [[held=start times=1]]"
# Who is not heard of for 2.25 s is replaced; and who beats never is not frozen while it writes.
LIVELY = {"ASKONCE_HEARTBEAT": 0.5, "ASKONCE_LEASE": 1}
SILENT = {"ASKONCE_HEARTBEAT": 1800, "ASKONCE_LEASE": 3600}


@contextmanager
def locked(sqlite_url: str) -> Iterator[None]:
    """Let another program keep SQLite's write lock."""
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def begin(server: Server, **facts: Any) -> int:
    return int(
        post(server, "/sessions", {"title": "Capitals", "user_id": "ann"} | facts).json["id"]
    )


def saying(
    server: Server, session_id: int, content: str, role: str = "user", **headers: str
) -> Call:
    return Call(
        port=server.port,
        path=f"/sessions/{session_id}/messages",
        body=json.dumps({"role": role, "content": content}).encode(),
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def say(server: Server, session_id: int, content: str, **headers: str) -> Reply:
    return at_once([saying(server, session_id, content, **headers)])[0]


def post(server: Server, path: str, body: dict[str, Any]) -> Reply:
    return at_once([Call(port=server.port, path=path, body=json.dumps(body).encode())])[0]


def thread(server: Server, session_id: int) -> list[dict[str, Any]]:
    """Return all messages of a session, oldest first, page by page."""
    messages: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = get(server, f"/sessions/{session_id}?limit=100{cursor}").json
        messages += page["messages"]
        if page["next_cursor"] is None:
            return messages[::-1]
        cursor = f"&cursor={page['next_cursor']}"


def roles(server: Server, session_id: int) -> list[str]:
    return [message["role"] for message in thread(server, session_id)]


def shown(call: dict[str, Any]) -> list[tuple[str, str]]:
    """Return roles and contents of what the stub was shown in a call."""
    return [(message["role"], message["content"]) for message in call["body"]["input"]]


@pytest.mark.long
def test_two_hundred_turns_are_shown_whole_in_every_call(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    session_id = begin(server)

    for number in range(200):
        assert say(server, session_id, f"Question {number}").status == 200

    told = [(one["role"], one["content"]) for one in thread(server, session_id)]
    assert len(told) == 400
    calls = stub.calls()
    assert len(calls) == 200
    assert [shown(call) for call in calls] == [told[: 2 * number + 1] for number in range(200)]


@pytest.mark.long
def test_a_long_thread_in_a_small_window_is_summarised_and_nothing_is_left_out(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_CONTEXT_TOKENS=2000, ASKONCE_MAX_OUTPUT_TOKENS=200)
    session_id = begin(server)

    for number in range(60):
        last = say(server, session_id, f"Question {number}. " + "word " * 30)
        assert last.status == 200, last.body

    told = thread(server, session_id)
    summaries = [one for one in told if one["role"] == "summary"]
    said = [one for one in told if one["role"] != "summary"]
    replies = [one for one in said if one["role"] == "assistant"]
    assert 0 < len(summaries) < 20
    for number, reply in enumerate(replies):
        context = reply["context"]
        assert context["messages_sent"] + context["messages_summarised"] == 2 * number + 1
    calls = [call for call in stub.calls() if "text" in call["body"]]
    for call, reply in zip(calls, replies, strict=True):
        sent = shown(call)[-reply["context"]["messages_sent"] :]
        first = reply["context"]["messages_summarised"]
        assert sent == [(one["role"], one["content"]) for one in said[first : first + len(sent)]]


def test_a_turn_that_dies_with_its_process_is_resumed_by_the_same_words(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    server, other = servers.start(database_url), servers.start(database_url)
    session_id = begin(server)
    say(server, session_id, "Hello")

    with under_way(saying(server, session_id, HELD)):
        until(lambda: len(stub.calls()) == 2)
        server.kill()
    left = thread(other, session_id)
    resumed = say(other, session_id, HELD)

    assert [(one["role"], one["answered"]) for one in left][-1] == ("user", False)
    assert resumed.status == 200
    assert roles(other, session_id) == ["user", "assistant", "user", "assistant"]
    assert shown(stub.calls()[-1])[-1] == ("user", HELD)
    assert "unknown" in outcomes(database_url)


def test_a_turn_that_dies_with_its_process_is_resumed_by_its_key(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    session_id = begin(server)

    with under_way(saying(server, session_id, HELD, idempotency_key="turn-1")):
        until(lambda: len(stub.calls()) == 1)
        server.kill()
    successor = servers.start(sqlite_url)
    resumed = say(successor, session_id, HELD, idempotency_key="turn-1")
    again = say(successor, session_id, HELD, idempotency_key="turn-1")

    assert resumed.status == again.status == 200
    assert again.body == resumed.body
    assert roles(successor, session_id) == ["user", "assistant"]
    assert len(stub.calls()) == 2


def test_a_reply_that_came_before_a_kill_is_in_the_thread_after_the_restart(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, **SILENT)
    session_id = begin(server)

    with under_way(saying(server, session_id, HELD)):
        until(lambda: len(stub.calls()) == 1)
        with locked(sqlite_url):
            stub.let_go()
            until(lambda: bool(servers.spooled()))
            server.kill()
    successor = servers.start(sqlite_url)

    assert roles(successor, session_id) == ["user", "assistant"]
    assert len(stub.calls()) == 1
    assert outcomes(sqlite_url) == ["answered"]
    assert servers.spooled() == []


def test_what_was_deleted_does_not_come_home_from_the_spool(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server, other = servers.start(sqlite_url, **SILENT), servers.start(sqlite_url, **SILENT)
    session_id = begin(server)

    with under_way(saying(server, session_id, HELD)):
        until(lambda: len(stub.calls()) == 1)
        with locked(sqlite_url):
            stub.let_go()
            until(lambda: bool(servers.spooled()))
            server.kill()
    deleted = at_once([Call(port=other.port, method="DELETE", path=f"/sessions/{session_id}")])[0]
    servers.start(sqlite_url)

    assert deleted.status == 204
    assert outcomes(sqlite_url) == ["duplicate"]
    assert servers.spooled() == []
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as tables:
        assert tables.execute("SELECT count(*) FROM answers").fetchone() == (0,)


def test_a_thread_can_go_on_differently_after_a_crash(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    session_id = begin(server)

    with under_way(saying(server, session_id, HELD)):
        until(lambda: len(stub.calls()) == 1)
        server.kill()
    successor = servers.start(sqlite_url)
    reply = say(successor, session_id, "Never mind. What is two and two?")

    assert reply.status == 200
    assert roles(successor, session_id) == ["user", "user", "assistant"]
    assert len(shown(stub.calls()[-1])) == 2


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_two_who_speak_at_one_moment_in_two_processes_never_interleave(
    servers: Servers, stub: StubProvider, database_url: str, role: str
) -> None:
    one, other = servers.start(database_url), servers.start(database_url)
    session_id = begin(one)
    contents = [f"Question {number} [[slow=0.2]]" for number in range(6)]

    replies = at_once(
        [
            saying([one, other][number % 2], session_id, content, role if number == 5 else "user")
            for number, content in enumerate(contents)
        ]
    )

    assert {reply.status for reply in replies} == {200}
    assert stub.max_running() == 1
    said = thread(other, session_id)
    expected = [(f"{item['role']}", item["content"]) for item in said]
    for call in stub.calls():
        seen = shown(call)
        assert seen == expected[: len(seen)]
        assert expected[len(seen)][0] == "assistant"


def test_a_second_turn_waits_for_a_dead_process_no_longer_than_need_be(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    doomed, other = servers.start(database_url), servers.start(database_url)
    session_id = begin(doomed)

    with under_way(saying(doomed, session_id, "Are you there? [[held=start]]")):
        until(lambda: len(stub.calls()) == 1)
        with under_way(saying(other, session_id, "And you?")) as replies:
            doomed.kill()
            reply = replies()[0]

    assert reply.status == 200
    assert reply.seconds < 20
    assert roles(other, session_id) == ["user", "user", "assistant"]


def test_a_reply_is_in_the_thread_though_its_reader_went_away_in_the_middle(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    session_id = begin(server)
    said = f"Tell me. [[held=middle say={'long ' * 40}]]"
    call = saying(server, session_id, said, accept="text/event-stream")

    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as line:
        line.sendall(call.sent())
        received = b""
        while b"event: delta" not in received:
            received += line.recv(4096)
    stub.let_go()
    until(lambda: roles(server, session_id) == ["user", "assistant"])

    reply = thread(server, session_id)[-1]
    assert reply["content"] == "long " * 40
    assert len(stub.calls()) == 1


def test_a_frozen_process_cannot_put_its_reply_into_a_thread_that_has_gone_on(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    frozen, other = servers.start(database_url, **SILENT), servers.start(database_url, **LIVELY)
    session_id = begin(other)

    with under_way(saying(frozen, session_id, HELD)) as replies:
        until(lambda: len(stub.calls()) == 1)
        time.sleep(0.3)
        frozen.freeze()
        gone_on = say(other, session_id, "And you?")
        stub.let_go()
        until(lambda: stub.state()["running"] == 0)
        frozen.wake()
        late = replies()[0]

    assert gone_on.status == 200
    assert (late.status, late.problem) == (409, "conflict")
    assert sorted(outcomes(database_url)) == ["answered", "duplicate"]
    told = thread(other, session_id)
    assert [one["role"] for one in told] == ["user", "user", "assistant"]
    assert told[-1]["id"] == gone_on.json["messages"][-1]["id"]
