"""Upgrades: what an older release wrote is all there afterwards, and it may go on beside."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, MetaData, inspect, select, text
from typer.testing import CliRunner, Result

from askonce.cli import app
from askonce.config import Settings
from askonce.core.clock import SystemClock
from askonce.db import migrating
from askonce.db.database import SqlDatabase
from askonce.db.schema import newest, revisions
from askonce.main.process import build
from tests.databases import PostgresTemplates
from tests.fakes.provider import FakeProvider
from tests.schemas import API_KEY, RESULT, write
from tests.serving import until

OLDER = revisions()[:-1]
Rows = dict[str, list[tuple[Any, ...]]]

# What a release may no longer find as the one before left it; says why, and until when it is so.
CONTRACTED: dict[tuple[str, str], str] = {}


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[SqlDatabase]:
    database = SqlDatabase(empty_database_url)
    yield database
    database.close()


def released(database: SqlDatabase, revision: str) -> None:
    """Bring an empty database to where a release left it that had answered one question."""
    migrating.upgrade(database, revision)
    with database.transaction() as tx:
        write(tx.connection, revision)
        if database.is_sqlite:
            return
        for name in inspect(tx.connection).get_table_names():
            # Whoever gives ids himself must tell the sequence.
            told = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"  # noqa: S608
            if "id" in {column["name"] for column in inspect(tx.connection).get_columns(name)}:
                tx.connection.execute(text(told))


def rows(connection: Connection, columns: dict[str, set[str]] | None = None) -> Rows:
    """Return all rows of all our tables, or only of some of their columns."""
    metadata = MetaData()
    metadata.reflect(connection)
    held = {}
    for name, table in metadata.tables.items():
        if name == "alembic_version" or name.startswith(("answers_words", "sqlite")):
            continue
        wanted = [
            column
            for column in table.columns
            if columns is None or column.name in columns.get(name, set())
        ]
        if wanted:
            found = connection.execute(select(*wanted))
            held[name] = sorted((tuple(row) for row in found), key=repr)
    return held


def columns(connection: Connection) -> dict[str, set[str]]:
    inspector = inspect(connection)
    return {
        table: {str(column["name"]) for column in inspector.get_columns(table)}
        for table in inspector.get_table_names()
    }


@pytest.mark.parametrize("revision", OLDER)
def test_what_a_release_wrote_is_all_there_after_the_upgrade(
    empty: SqlDatabase, revision: str
) -> None:
    released(empty, revision)
    with empty.reading() as tx:
        known = columns(tx.connection)
        before = rows(tx.connection)

    migrating.upgrade(empty)

    with empty.reading() as tx:
        after = rows(tx.connection, known)
    assert before["analyses"]
    # A migration may bring rows of its own.
    kept = {name: [row for row in after[name] if row in before[name]] for name in before}
    assert kept == before


@pytest.mark.parametrize("revision", OLDER)
def test_what_a_release_wrote_is_served_by_this_one(
    empty: SqlDatabase, empty_database_url: str, revision: str
) -> None:
    released(empty, revision)
    settings = Settings(_env_file=None, database_url=empty_database_url, provider="openai")
    service, _ = build(settings, providers={"openai": FakeProvider("openai")}, clock=SystemClock())

    key = {"authorization": f"Bearer {API_KEY}1"} if revision >= "0005" else {}

    with TestClient(service, base_url="http://localhost", headers=key) as client:
        found = client.get("/history/ann", params={"q": "cache"}).json()["items"]
        sessions = [
            client.get(f"/sessions/{one['id']}") for one in client.get("/sessions").json()["items"]
        ]
        wishes = client.get("/users/ann-1/preferences").json()

    assert [(item["id"], item["result"]) for item in found] == [(1, RESULT)]
    assert found[0]["cost_usd"] == "0.000213"
    assert found[0]["created_at"] == "2026-11-21T10:00:00.123456Z"
    if revision >= "0004":
        said = [message["content"] for message in sessions[0].json()["messages"]]
        assert sorted(said) == [RESULT, "What is a cache?"]
        assert wishes["instructions"] == "Be kind."


@pytest.mark.parametrize("revision", OLDER)
def test_a_release_goes_on_writing_beside_the_newest_schema(
    empty: SqlDatabase, revision: str
) -> None:
    released(empty, revision)
    migrating.upgrade(empty)

    with empty.transaction() as tx:
        write(tx.connection, revision, number=2)

    with empty.reading() as tx:
        assert len(rows(tx.connection)["analyses"]) == 2


@pytest.mark.parametrize(("old", "new"), list(zip(OLDER, revisions()[1:], strict=True)))
def test_no_column_goes_that_the_release_before_reads(
    empty: SqlDatabase, old: str, new: str
) -> None:
    migrating.upgrade(empty, old)
    with empty.reading() as tx:
        before = columns(tx.connection)
    migrating.upgrade(empty, new)
    with empty.reading() as tx:
        after = columns(tx.connection)

    gone = {
        (table, column)
        for table, names in before.items()
        if not table.startswith("answers_words")
        for column in names - after.get(table, set())
    }
    assert gone <= set(CONTRACTED)


def test_an_upgrade_holds_nobody_up_while_a_backup_reads_the_table(
    postgres_templates: PostgresTemplates,
) -> None:
    database = SqlDatabase(postgres_templates.create())
    released(database, "0003")
    reader = database.engine.connect()
    reader.exec_driver_sql("SELECT count(*) FROM idempotency_keys")
    migration = threading.Thread(target=migrating.upgrade, args=(database, "0004"))

    migration.start()
    with database.engine.connect() as watcher:
        until(lambda: _is_waited_for(watcher))
    with database.transaction() as tx:
        write(tx.connection, "0003", number=2)
    is_waiting_still = migration.is_alive()
    reader.close()
    migration.join()

    assert is_waiting_still
    with database.reading() as tx:
        assert len(rows(tx.connection)["sessions"]) == 0
        assert len(rows(tx.connection)["idempotency_keys"]) == 2
    database.close()


def _is_waited_for(watcher: Connection) -> bool:
    waiting = watcher.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted")
    return bool(waiting.scalar_one())


@pytest.fixture
def chosen(empty_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> SqlDatabase:
    """Give the empty database that commands will find."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("ASKONCE_PORT", "0")
    return SqlDatabase(empty_database_url)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_commands_bring_the_schema_up_and_back(chosen: SqlDatabase) -> None:
    released(chosen, "0003")

    assert run("db", "current").output == f"0003 (this version of askonce needs {newest()})\n"
    assert run("db", "check").exit_code == 2
    assert run("db", "upgrade").output == f"{newest()}\n"
    assert run("db", "check").output == f"{newest()}\n"
    assert run("db", "downgrade", "0003").exit_code == 1
    assert run("db", "downgrade", "0003", "--yes").output.startswith("0003 ")
    assert run("db", "downgrade", "0004", "--yes").exit_code == 2
    assert run("db", "downgrade", "rubbish", "--yes").exit_code == 2
    chosen.close()


def test_a_newer_schema_is_refused_with_what_to_do(chosen: SqlDatabase) -> None:
    migrating.upgrade(chosen)
    with chosen.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    refusals = [run("serve"), run("db", "check"), run("db", "upgrade")]

    assert [refusal.exit_code for refusal in refusals] == [2, 2, 2]
    said = (
        f"askonce: ASKONCE_DATABASE_URL: the database is at revision 9999, newer than {newest()}, "
        "the last that this version of askonce knows: start the newer version, or let it go back "
        f"with `askonce db downgrade {newest()}`\n"
    )
    assert {refusal.stderr for refusal in refusals} == {said}
    chosen.close()


def test_an_older_schema_is_refused_where_starts_may_not_migrate(
    chosen: SqlDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASKONCE_MIGRATE", "never")
    released(chosen, "0003")

    refused = run("serve")

    assert refused.exit_code == 2
    assert refused.stderr == (
        "askonce: ASKONCE_DATABASE_URL: the database is at revision 0003, and this version of "
        f"askonce needs {newest()}: run `askonce db upgrade`\n"
    )
    assert run("db", "current").output.startswith("0003 ")
    chosen.close()
