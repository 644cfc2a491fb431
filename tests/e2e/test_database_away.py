"""What clients see while the database is away, and that nothing paid for is lost meanwhile."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.asking import analyze, get, history, question, under_way
from tests.e2e.outages import Postgres, own_postgres
from tests.e2e.records import outcomes
from tests.serving import PATIENCE_SECONDS, Servers, until
from tests.stub.client import StubProvider


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    with own_postgres(tmp_path) as postgres:
        yield postgres


def test_tells_that_postgresql_is_away_and_recovers_by_itself(
    servers: Servers, stub: StubProvider, postgres: Postgres
) -> None:
    server = servers.start(postgres.url)
    analyze(server, "What is known?")

    postgres.stop()
    away = [analyze(server, "What is known?"), get(server, "/history/ann"), get(server, "/health")]
    postgres.start()
    until(lambda: get(server, "/health").status == 200)
    back = analyze(server, "What is known?")

    assert [(reply.status, reply.problem) for reply in away] == [(503, "database-unavailable")] * 3
    assert [reply.headers["retry-after"] for reply in away] == ["5"] * 3
    assert (back.status, back.json["cached"]) == (200, True)
    assert len(history(server)) == 2
    assert len(stub.calls()) == 1


def test_an_answer_that_comes_while_postgresql_restarts_is_kept_and_given(
    servers: Servers, stub: StubProvider, postgres: Postgres
) -> None:
    server = servers.start(postgres.url)

    with under_way(question(server, "Will it be lost? [[held=start]]")) as replies:
        until(lambda: len(stub.calls()) == 1)
        postgres.crash()
        stub.let_go()
        until(lambda: stub.state()["running"] == 0)
        postgres.start()
        reply = replies()[0]

    assert reply.status == 200
    assert [row["id"] for row in history(server)] == [reply.json["id"]]
    assert outcomes(postgres.url) == ["answered"]
    assert len(stub.calls()) == 1


def test_what_was_answered_outlives_a_crash_of_everything(
    servers: Servers, postgres: Postgres
) -> None:
    server = servers.start(postgres.url)
    answered = [analyze(server, f"Question {number}").json["id"] for number in range(5)]

    server.kill()
    postgres.crash()
    postgres.start()
    successor = servers.start(postgres.url)

    assert [row["id"] for row in reversed(history(successor))] == answered


def test_tells_that_another_program_keeps_sqlite_locked_and_recovers_by_itself(
    servers: Servers, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    analyze(server, "What is known?")

    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), PATIENCE_SECONDS)) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = analyze(server, "What is known?")
        read = get(server, "/history/ann")
    freed = analyze(server, "What is known?")

    assert (locked.status, locked.problem) == (503, "database-unavailable")
    assert locked.headers["retry-after"] == "5"
    assert read.status == 200
    assert freed.status == 200
