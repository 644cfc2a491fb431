"""The databases that are measured, as durable as in production."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.databases import PostgresTemplates, SqliteTemplates, postgres_server

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
# The tests' server does not wait for the disk. This one does, as PostgreSQL does by default.
_DURABLE = ("fsync = on", "synchronous_commit = on")


@dataclass(frozen=True, slots=True)
class Database:
    """One kind of database; `copy` gives the URL of a new, migrated, empty one."""

    name: str
    copy: Callable[[], str]


@contextmanager
def databases(folder: Path, wanted: list[str]) -> Iterator[list[Database]]:
    """Give the databases of the kinds that are wanted."""
    found = []
    if SQLITE in wanted:
        (folder / "sqlite").mkdir()
        found.append(Database(SQLITE, SqliteTemplates(folder / "sqlite").copy))
    if POSTGRESQL not in wanted:
        yield found
        return
    with postgres_server(folder, settings=_DURABLE) as url:
        yield [*found, Database(POSTGRESQL, PostgresTemplates(url).copy)]
