"""`askonce prune`, as it is typed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner, Result

from askonce.cli import app
from askonce.db.database import SqlDatabase
from askonce.db.rows import AnalysisRow
from tests.contracts.test_pruning import bought

WEEK = timedelta(days=7)


@pytest.fixture
def chosen(
    database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[SqlDatabase]:
    """Give the database that the command will find; what is in it was asked a week ago."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", database_url)
    database = SqlDatabase(database_url)
    bought(database, at=datetime.now(UTC) - WEEK)
    yield database
    database.close()


def prune(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["prune", *arguments])


def analyses(database: SqlDatabase) -> int:
    with database.reading() as tx:
        return tx.connection.execute(select(func.count()).select_from(AnalysisRow)).scalar_one()


def test_says_what_it_removed(chosen: SqlDatabase) -> None:
    result = prune()

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "1 expired cache entries removed",
        "0 old idempotency keys removed",
        "0 quotas that are whole again removed",
        "0 old charges of unknown cost removed",
        "0 digests of users who were erased removed",
        "0 expired sign-ins of browsers removed",
    ]
    assert prune().output.startswith("0 expired cache entries")
    assert analyses(chosen) == 1


def test_removes_history_that_is_older_than_it_is_told(chosen: SqlDatabase) -> None:
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"

    assert "1 old analyses would be removed" in prune("--dry-run", "--before", yesterday).output
    assert analyses(chosen) == 1
    result = prune("--before", yesterday)

    assert "1 old analyses removed, and 1 answers that nobody uses\n" in result.output
    assert "1 records of old calls removed\n" in result.output
    assert analyses(chosen) == 0


@pytest.mark.usefixtures("chosen")
def test_removes_history_that_is_older_than_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKONCE_HISTORY_DAYS", "8")
    assert "0 old analyses removed" in prune().output

    monkeypatch.setenv("ASKONCE_HISTORY_DAYS", "6")
    assert "1 old analyses removed" in prune().output


@pytest.mark.parametrize(
    ("before", "complaint"),
    [("tomorrow", "--before: not a date"), ("9999-01-01", "--before: lies in the future")],
)
def test_a_moment_that_cannot_be_is_refused(
    chosen: SqlDatabase, before: str, complaint: str
) -> None:
    result = prune("--before", before)

    assert result.exit_code == 2
    assert complaint in result.output
    assert analyses(chosen) == 1


def test_a_database_that_is_not_there_is_not_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", f"sqlite:///{tmp_path}/nowhere.db")

    result = prune()

    assert result.exit_code == 2
    assert "ASKONCE_DATABASE_URL" in result.output
    assert not (tmp_path / "nowhere.db").exists()


def test_a_database_that_does_not_answer_ends_it_with_another_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")

    result = prune()

    assert result.exit_code == 1
    assert result.output == "askonce: the database does not answer (ASKONCE_DATABASE_URL)\n"
