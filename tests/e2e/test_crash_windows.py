"""What happens to an answer that has come, but cannot be committed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.e2e.asking import analyze, get, history, question, under_way
from tests.e2e.outages import Postgres, own_postgres
from tests.e2e.records import outcomes
from tests.serving import PATIENCE_SECONDS, Servers, until
from tests.stub.client import StubProvider

PAID = "Will this be paid for twice? [[held=start]]"


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    with own_postgres(tmp_path) as postgres:
        yield postgres


@contextmanager
def locked(sqlite_url: str) -> Iterator[None]:
    """Let another program keep SQLite's write lock."""
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), PATIENCE_SECONDS)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


def test_an_answer_that_came_before_a_kill_is_there_after_the_restart(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)

    with under_way(question(server, PAID)):
        until(lambda: len(stub.calls()) == 1)
        with locked(sqlite_url):
            stub.let_go()
            until(lambda: bool(servers.spooled()))
            server.kill()
    successor = servers.start(sqlite_url)
    kept = history(successor)
    again = analyze(successor, PAID)

    assert [(row["text"], row["cached"]) for row in kept] == [(PAID, False)]
    assert again.json["cached"]
    assert len(stub.calls()) == 1
    assert outcomes(sqlite_url) == ["answered"]
    assert servers.spooled() == []
    assert PAID not in successor.log()


def test_a_waiter_gets_the_answer_that_its_leader_died_with(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    leader, waiter = servers.start(sqlite_url), servers.start(sqlite_url)

    with under_way(question(leader, PAID)):
        until(lambda: len(stub.calls()) == 1)
        with under_way(question(waiter, PAID, user="wim")) as replies:
            with locked(sqlite_url):
                stub.let_go()
                until(lambda: bool(servers.spooled()))
                leader.kill()
            reply = replies()[0]

    assert reply.status == 200
    assert len(stub.calls()) == 1
    assert len(history(waiter)) == 1
    assert [row["id"] for row in history(waiter, "wim")] == [reply.json["id"]]
    assert outcomes(sqlite_url) == ["answered"]


def test_an_answer_outlives_process_and_database(
    servers: Servers, stub: StubProvider, postgres: Postgres
) -> None:
    server = servers.start(postgres.url)

    with under_way(question(server, PAID)):
        until(lambda: len(stub.calls()) == 1)
        postgres.crash()
        stub.let_go()
        until(lambda: bool(servers.spooled()))
        server.kill()
    postgres.start()
    successor = servers.start(postgres.url)

    assert [row["text"] for row in history(successor)] == [PAID]
    assert analyze(successor, PAID).json["cached"]
    assert len(stub.calls()) == 1


def test_an_answer_comes_home_without_a_restart_when_the_database_is_back(
    servers: Servers, stub: StubProvider, postgres: Postgres
) -> None:
    server = servers.start(postgres.url, ASKONCE_COMMIT_PATIENCE=0.5)

    with under_way(question(server, PAID)) as replies:
        until(lambda: len(stub.calls()) == 1)
        postgres.crash()
        stub.let_go()
        reply = replies()[0]
    postgres.start()
    until(lambda: get(server, "/history/ann").status == 200 and bool(history(server)))
    again = analyze(server, PAID)

    assert (reply.status, reply.problem) == (503, "database-unavailable")
    assert "could not be stored yet" in reply.json["detail"]
    assert again.json["cached"]
    assert len(stub.calls()) == 1
    assert outcomes(postgres.url) == ["answered"]
    assert servers.spooled() == []


def test_calls_that_a_killed_process_left_open_are_booked_at_the_next_start(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    server, living = servers.start(database_url), servers.start(database_url)

    with (
        under_way(question(server, "Who dies? [[held=start]]")),
        under_way(question(living, "Who lives? [[held=start]]")),
    ):
        until(lambda: len(stub.calls()) == 2)
        server.kill()
        successor = servers.start(database_url)
        booked = sorted(outcomes(database_url))
        living.kill()

    assert booked == ["open", "unknown"]
    [line] = [line for line in successor.log().splitlines() if "attempts_found_open" in line]
    assert '"count": 1' in line
