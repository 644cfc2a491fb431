"""`askonce doctor`: what is wrong is found, in words that mend it, and nothing is spent."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from askonce.cli import app
from askonce.db import migrating
from askonce.db.database import SqlDatabase
from tests.databases import SqliteTemplates
from tests.ports import number_of, reserved_port
from tests.stub.client import StubProvider


@pytest.fixture(autouse=True)
def _set_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stub: StubProvider, sqlite_url: str
) -> None:
    """Begin with what is well: a database, and a provider that knows its key."""
    monkeypatch.chdir(tmp_path)
    for name in ("ASKONCE_URL", "ASKONCE_KEY", "ASKONCE_SPOOL", "ASKONCE_HOST"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ASKONCE_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "stub")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", stub.claude_url)
    monkeypatch.setenv("OPENAI_API_KEY", "stub")
    monkeypatch.setenv("OPENAI_BASE_URL", stub.openai_url)
    # As if it were not installed: it takes seconds to load, and has a test of its own.
    monkeypatch.setitem(sys.modules, "xllamacpp", None)


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["doctor", *arguments])


def found(name: str) -> dict[str, Any]:
    """Return what is found of one thing, which comes with a way to mend it unless it is good."""
    result = doctor("--json")
    told = json.loads(result.stdout)
    assert result.stderr == ""
    assert result.exit_code == (0 if told["good"] else 1)
    assert told["good"] == all(one["state"] != "bad" for one in told["findings"])
    assert all((one["state"] == "good") == (one["mend"] is None) for one in told["findings"])
    return next(one for one in told["findings"] if one["name"] == name)


def test_what_is_well_is_told_and_nothing_is_spent_or_left_behind(
    monkeypatch: pytest.MonkeyPatch, stub: StubProvider, database_url: str
) -> None:
    monkeypatch.setenv("ASKONCE_DATABASE_URL", database_url)
    database = SqlDatabase(database_url)
    with database.reading() as tx:
        before = tx.preferences.news(0)

    result = doctor()

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("\nAll is well.\n")
    for name in ("settings", "database", "migrations", "writing", "clock", "keys", "claude"):
        assert f"good     {name}" in result.stdout
    assert stub.calls() == []
    with database.reading() as tx:
        assert tx.preferences.news(0) == before
    database.close()


def test_a_setting_that_is_spelled_wrong_is_doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASKONCE_CACHE_TLT", "60")

    finding = found("settings")

    assert (finding["state"], finding["mend"]) == ("doubtful", "is ASKONCE_CACHE_TTL meant?")


@pytest.mark.parametrize(
    ("setting", "value", "name", "state", "says"),
    [
        ("ASKONCE_PORT", "70000", "settings", "bad", "ASKONCE_PORT"),
        ("ASKONCE_DATABASE_URL", "nosql://x", "database", "bad", "ASKONCE_DATABASE_URL"),
        ("ASKONCE_HOST", "192.0.2.1", "keys", "bad", "ASKONCE_HOST=192.0.2.1"),
        ("ASKONCE_PROVIDER", "local", "providers", "bad", "ASKONCE_PROVIDER=local"),
        ("ANTHROPIC_API_KEY", "wrong", "claude", "bad", "refuses the key"),
        ("OPENAI_API_KEY", "wrong", "openai", "bad", "refuses the key"),
        ("ASKONCE_CLAUDE_MODEL", "no-such-1", "claude", "doubtful", "no-such-1"),
        ("ASKONCE_OPENAI_MODEL", "no-such-2", "openai", "doubtful", "no-such-2"),
    ],
)
def test_what_is_set_wrong_is_found(
    monkeypatch: pytest.MonkeyPatch,
    *,
    setting: str,
    value: str,
    name: str,
    state: str,
    says: str,
) -> None:
    monkeypatch.setenv(setting, value)

    finding = found(name)

    assert finding["state"] == state
    assert says in finding["says"]


def test_a_provider_and_a_database_that_are_away_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with reserved_port() as keeper:
        port = number_of(keeper)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("ASKONCE_DATABASE_URL", f"postgresql://127.0.0.1:{port}/askonce")

        assert found("claude")["says"] == "cannot be reached or used now (connect)"
        assert "does not answer" in found("database")["says"]


def test_a_database_that_is_behind_is_found(
    monkeypatch: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    database = SqlDatabase(empty_database_url)
    migrating.upgrade(database, "0007")
    database.close()
    monkeypatch.setenv("ASKONCE_DATABASE_URL", empty_database_url)

    finding = found("migrations")

    assert finding["state"] == "bad"
    assert "the database is at 0007" in finding["says"]


def test_a_database_that_nobody_has_made_yet_is_no_trouble_and_is_not_made(
    monkeypatch: pytest.MonkeyPatch, sqlite_templates: SqliteTemplates
) -> None:
    url = sqlite_templates.create()
    monkeypatch.setenv("ASKONCE_DATABASE_URL", url)
    file = Path(url.removeprefix("sqlite:///"))
    file.unlink(missing_ok=True)

    assert "the first start makes it" in found("database")["says"]
    assert not file.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "spool").mkdir(mode=0o500)
    monkeypatch.setenv("ASKONCE_SPOOL", str(tmp_path / "spool"))

    assert found("spool")["state"] == "bad"


def test_a_service_that_is_away_is_found() -> None:
    with reserved_port() as keeper:
        result = doctor("--url", f"http://127.0.0.1:{number_of(keeper)}")

    assert result.exit_code == 1
    assert "start it with `askonce serve`" in result.stdout


def test_the_embedded_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("ASKONCE_DATABASE_URL", "nosql://x")

    assert found("local")["says"].startswith("the embedded model loads")
