"""`askonce db copy`: everything arrives, once, and what did not is noticed."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Date,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
)
from typer.testing import CliRunner, Result

from askonce.cli import app
from askonce.core.ports import HistoryFilter
from askonce.db import copy_progress
from askonce.db.checksums import checksum
from askonce.db.columns import UtcDateTime
from askonce.db.copying import BATCH
from askonce.db.copying import copy as copy_database
from askonce.db.database import SqlDatabase
from askonce.db.liveness import LockedFiles
from askonce.db.places import liveness_folder, spool_folder
from askonce.db.rows import AnalysisRow, Row
from askonce.db.schema import newest
from tests.databases import PostgresTemplates, SqliteTemplates
from tests.examples import ALICE, CALLER, KEY, NOW
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer
from tests.schemas import write

ADDED = BATCH * 7 // 2

KILLED_AMONG_ANALYSES = """
import os, signal, sys
from pathlib import Path
from askonce.db.copying import copy
from askonce.db.database import SqlDatabase

for step in copy(SqlDatabase(sys.argv[1]), SqlDatabase(sys.argv[2]), spool=Path("/nowhere")):
    if step.table == "analyses":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def source(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SqlDatabase]:
    """Give the database that the command will find, with three batches and a half of history."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", database_url)
    monkeypatch.setenv("ASKONCE_SPOOL", str(tmp_path))
    filling = SqlDatabase(database_url)
    with filling.transaction() as tx:
        write(tx.connection, newest(), number=1)
        write(tx.connection, newest(), number=9)
        if not filling.is_sqlite:
            _number_from(tx.connection, 100 + ADDED)
        row = {"tenant": "default", "user_id": "alice", "answer_id": 9, "cached": True}
        rows = [{**row, "id": 100 + number, "created_at": NOW} for number in range(ADDED)]
        tx.connection.execute(insert(AnalysisRow), rows)
        # An id that was given once is not given again, not even there.
        last = tx.analyses.add(ALICE, 9, cached=True, at=NOW)
        assert last is not None
        tx.connection.execute(delete(AnalysisRow).where(AnalysisRow.id == last.id))
    # Else it would count as an askonce that runs.
    filling.close()
    database = SqlDatabase(database_url)
    yield database
    database.close()


def _number_from(connection: Connection, number: int) -> None:
    """Let PostgreSQL number on behind ids that were given by hand."""
    for table in ("answers", "analyses", "attempts", "sessions", "messages", "api_keys"):
        connection.exec_driver_sql(
            f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {number})"
        )


@pytest.fixture
def target_url(source: SqlDatabase, request: pytest.FixtureRequest) -> str:
    """Return an empty database of the other kind."""
    if source.is_sqlite:
        servers: PostgresTemplates = request.getfixturevalue("postgres_templates")
        return servers.create()
    files: SqliteTemplates = request.getfixturevalue("sqlite_templates")
    return files.create()


def copy(to: str) -> Result:
    return CliRunner().invoke(app, ["db", "copy", "--to", to])


def kill_among_analyses(source_url: str, target_url: str) -> None:
    command = [sys.executable, "-c", KILLED_AMONG_ANALYSES, source_url, target_url]
    assert subprocess.run(command, check=False).returncode == -9


def test_everything_arrives_and_goes_on_from_there(source: SqlDatabase, target_url: str) -> None:
    result = copy(target_url)

    assert result.exit_code == 0, result.stderr
    assert f"analyses: {ADDED + 2} rows, the same" in result.stdout
    target = SqlDatabase(target_url)
    with source.reading() as there, target.reading() as here:
        for table in Row.metadata.sorted_tables:
            assert checksum(there.connection, table) == checksum(here.connection, table)
            assert checksum(here.connection, table).rows > 0, f"{table.name} was never filled"
        newest_id = here.connection.execute(select(func.max(AnalysisRow.id))).scalar_one()
        wanted = HistoryFilter(words=("cache",))
        assert len(here.analyses.newest(CALLER, "alice", wanted).items) == 10
    with target.transaction() as tx:
        added = keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)
        assert added > 9
        analysis = tx.analyses.add(ALICE, added, cached=False, at=NOW)
        assert analysis is not None
        assert analysis.id > newest_id + 1
    target.close()


@pytest.mark.usefixtures("source")
def test_a_copy_that_was_killed_goes_on_where_it_was(
    database_url: str, target_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_among_analyses(database_url, target_url)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", target_url)
    unfinished = CliRunner().invoke(app, ["db", "check"])
    monkeypatch.setenv("ASKONCE_DATABASE_URL", database_url)

    result = copy(target_url)

    assert unfinished.exit_code == 2
    assert "a copy into this database is not finished" in unfinished.stderr
    assert result.exit_code == 0, result.stderr
    assert f"analyses: {BATCH} of " not in result.stderr
    assert f"analyses: {ADDED + 2} rows, the same" in result.stdout
    assert "not empty" in copy(target_url).stderr


def test_rows_that_only_the_target_needs_stay_there(source: SqlDatabase, target_url: str) -> None:
    without = SqlDatabase(str(source.url.render_as_string(hide_password=False)))
    with without.transaction() as tx:
        tx.connection.exec_driver_sql("DELETE FROM revisions WHERE name = 'preferences'")
    without.close()

    result = copy(target_url)

    assert result.exit_code == 0, result.stderr
    target = SqlDatabase(target_url)
    with target.reading() as tx:
        names = tx.connection.exec_driver_sql("SELECT name FROM revisions").scalars().all()
    assert "preferences" in names
    target.close()


@pytest.mark.parametrize(
    "last",
    [
        (7,),
        (b"\x00\xff",),
        ("default", date(2026, 11, 21), datetime(2026, 11, 21, 10, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_every_kind_of_key_is_remembered(tmp_path: Path, last: tuple[object, ...]) -> None:
    kinds = {int: Integer, bytes: LargeBinary, str: String, date: Date, datetime: UtcDateTime}
    columns: list[Column[Any]] = [
        Column(f"c{n}", kinds[type(part)], primary_key=True) for n, part in enumerate(last)
    ]
    table = Table("any", MetaData(), *columns)
    database = SqlDatabase(f"sqlite:///{tmp_path / 'any.db'}")

    with database.transaction() as tx:
        copy_progress.begin(tx.connection, "source")
        copy_progress.keep(tx.connection, table, copy_progress.Reached(last=last, rows=3))
        assert copy_progress.reached(tx.connection, table).last == last
    database.close()


def test_a_source_that_changed_while_the_copy_lay_still_is_noticed(
    source: SqlDatabase, database_url: str, target_url: str, tmp_path: Path
) -> None:
    target = SqlDatabase(target_url)
    steps = copy_database(source, target, spool=tmp_path / "nowhere")
    next(steps)
    steps.close()
    target.close()
    source.engine.dispose()
    changing = SqlDatabase(database_url)
    with changing.transaction() as tx:
        tx.connection.exec_driver_sql("UPDATE answers SET result = 'Another.' WHERE id = 1")
    changing.close()

    result = copy(target_url)

    assert result.exit_code == 1
    assert "answers has arrived" in result.stderr


def test_a_target_that_holds_something_is_left_alone(source: SqlDatabase, target_url: str) -> None:
    target = SqlDatabase(target_url)
    with target.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id integer)")
    target.close()

    result = copy(target_url)

    assert result.exit_code == 1
    assert "is not empty" in result.stderr
    assert source.is_there()


def test_nothing_is_copied_while_askonce_runs(source: SqlDatabase, target_url: str) -> None:
    if source.is_sqlite:
        running = LockedFiles(liveness_folder(source), "running")
        result = copy(target_url)
        running.close()
    else:
        with source.engine.connect():
            result = copy(target_url)

    assert result.exit_code == 1
    assert "stop it first" in result.stderr


def test_nothing_is_copied_while_paid_answers_wait_outside(
    source: SqlDatabase, target_url: str, tmp_path: Path
) -> None:
    folder = spool_folder(source, tmp_path)
    folder.mkdir()
    (folder / "one.json").write_text("{}")

    result = copy(target_url)

    assert result.exit_code == 1
    assert "paid answers wait" in result.stderr


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("url", ["mysql://ann@localhost/x", "postgresql://nobody@127.0.0.1:1/x"])
def test_a_target_that_cannot_be_is_named(url: str) -> None:
    assert "--to" in copy(url).stderr
