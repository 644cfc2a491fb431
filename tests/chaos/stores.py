"""The databases of a run, and what can be done to them while it goes on."""

import random
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from askonce.db.database import BUSY_SECONDS
from tests.chaos.stopwatch import Stopwatch
from tests.databases import PostgresTemplates, SqliteTemplates
from tests.e2e.outages import Postgres, own_postgres


class Store(Protocol):
    """A database that nothing but this run uses."""

    # When it took no writes, for certain or perhaps.
    outages: list[tuple[float, float]]

    @property
    def url(self) -> str: ...

    def disturb(self, drawn: random.Random) -> str:
        """Do it some harm, and say what."""

    def heal(self) -> None:
        """End all harm."""


class SqliteStore:
    """A file, whose write lock a foreign process (this one) holds now and then."""

    def __init__(self, url: str, watch: Stopwatch) -> None:
        self.url = url
        self.outages: list[tuple[float, float]] = []
        self._watch = watch
        self._path = url.removeprefix("sqlite:///")
        self._holder: threading.Thread | None = None

    def disturb(self, drawn: random.Random) -> str:
        shorter, longer = drawn.uniform(0.05, 0.6), drawn.uniform(0.6, 2.5)
        seconds = drawn.choice([shorter] * 4 + [longer] * 4 + [BUSY_SECONDS + 0.5])
        if self._holder is None or not self._holder.is_alive():
            self._holder = threading.Thread(target=self._hold, args=(seconds,), daemon=True)
            self._holder.start()
        return f"the write lock is held for {seconds:.2f} s"

    def heal(self) -> None:
        if self._holder is not None:
            self._holder.join()

    def _hold(self, seconds: float) -> None:
        began = self._watch.now()
        with closing(sqlite3.connect(self._path, timeout=5, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return  # somebody was frozen while holding it: that is harm enough
            time.sleep(seconds)
            connection.execute("ROLLBACK")
        self.outages.append((began, self._watch.now()))


class PostgresStore:
    """A server that is stopped as by a power cut, and started again."""

    def __init__(self, url: str, server: Postgres, watch: Stopwatch) -> None:
        self.url = url
        self.outages: list[tuple[float, float]] = []
        self._watch = watch
        self._server = server

    def disturb(self, drawn: random.Random) -> str:
        seconds = drawn.choice([0.0, 0.0, drawn.uniform(0.2, 1.5)])
        began = self._watch.now()
        self._server.crash()
        time.sleep(seconds)
        self._server.start()
        self.outages.append((began, self._watch.now()))
        return f"PostgreSQL crashes and is away for {seconds:.2f} s more"

    def heal(self) -> None:
        pass


@contextmanager
def store(kind: str, folder: Path, watch: Stopwatch) -> Iterator[Store]:
    """Make a database of this kind, with the newest schema."""
    if kind == "sqlite":
        yield SqliteStore(SqliteTemplates(folder).copy(), watch)
    else:
        with own_postgres(folder) as server:
            yield PostgresStore(PostgresTemplates(server.url).copy(), server, watch)
