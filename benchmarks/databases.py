"""The databases that are measured, as durable as in production."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.databases import PostgresTemplates, SqliteTemplates, postgres_server

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
# The tests' server does not wait for the disk. This one does, as PostgreSQL does by default.
_DURABLE = ("fsync = on", "synchronous_commit = on")


@dataclass(frozen=True, slots=True)
class Database:
    """One kind of database; `copy` gives the URL of a new, migrated, empty one."""

    name: str
    version: str
    copy: Callable[[], str]


@contextmanager
def databases(folder: Path, wanted: list[str]) -> Iterator[list[Database]]:
    """Give the databases of the kinds that are wanted."""
    found = []
    if SQLITE in wanted:
        (folder / "sqlite").mkdir()
        version = f"SQLite {sqlite3.sqlite_version} (synchronous = FULL)"
        found.append(Database(SQLITE, version, SqliteTemplates(folder / "sqlite").copy))
    if POSTGRESQL not in wanted:
        yield found
        return
    with postgres_server(folder, settings=_DURABLE) as url:
        yield [*found, Database(POSTGRESQL, _version(url), PostgresTemplates(url).copy)]


def _version(url: str) -> str:
    """Return what the server says about itself, not what it was told."""
    with psycopg.connect(url) as line:
        shown = [
            line.execute(f"SHOW {name}").fetchone()
            for name in ("server_version", "fsync", "synchronous_commit")
        ]
    version, fsync, commit = (str(one[0]) for one in shown if one)
    return f"PostgreSQL {version} (fsync = {fsync}, synchronous_commit = {commit})"
