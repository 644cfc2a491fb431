from contextlib import closing
from pathlib import Path

import pytest

from askonce.db.database import SqlDatabase
from askonce.db.places import spool_folder

POSTGRES = "postgresql://ann:{}@db.example:5432/{}"


@pytest.fixture(autouse=True)
def _somewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def folder(url: str, chosen: Path | None = None) -> Path:
    with closing(SqlDatabase(url)) as database:
        return spool_folder(database, chosen)


def test_sqlite_has_its_spool_beside_it(tmp_path: Path) -> None:
    assert folder("sqlite:///askonce.db") == tmp_path / "askonce.db.spool"


def test_postgresql_has_its_spool_where_askonce_was_started(tmp_path: Path) -> None:
    spool = folder(POSTGRES.format("secret", "askonce"))

    assert spool.parent == tmp_path
    assert spool.name.startswith("askonce-")
    assert "secret" not in spool.name


def test_a_new_password_does_not_change_the_place() -> None:
    assert folder(POSTGRES.format("old", "askonce")) == folder(POSTGRES.format("new", "askonce"))


def test_two_databases_never_share_a_spool(tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    urls = [
        "sqlite:///one.db",
        "sqlite:///two.db",
        POSTGRES.format("secret", "one"),
        POSTGRES.format("secret", "two"),
    ]

    spools = {folder(url, chosen) for url in urls}

    assert len(spools) == 4
    assert {spool.parent for spool in spools} == {chosen}
