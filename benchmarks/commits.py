"""One durable commit, alone: `python -m benchmarks.commits URL TIMES` prints each one's seconds.

The floor under an uncontended hit: whatever records a request durably cannot take less. A table
of its own with one index, one row, one commit, the driver's own fastest way.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg

_TABLE = "CREATE TABLE floor (id INTEGER PRIMARY KEY, user_id TEXT, answer_id INTEGER, at TEXT)"
_INDEX = "CREATE INDEX ix_floor ON floor (user_id, id)"


@contextmanager
def committing(url: str) -> Iterator[Callable[[int], None]]:
    """Give a function that commits one row durably."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file:
            file.isolation_level = None
            file.execute("PRAGMA journal_mode=WAL")
            file.execute("PRAGMA synchronous=FULL")
            file.execute(_TABLE)
            file.execute(_INDEX)
            insert = "INSERT INTO floor VALUES (?, 'alice', 1, '2026-11-21')"
            yield lambda number: file.execute(insert, (number,)).close()
    else:
        with psycopg.connect(url, autocommit=True, prepare_threshold=0) as line:
            line.execute(_TABLE)
            line.execute(_INDEX)
            insert = "INSERT INTO floor VALUES (%s, 'alice', 1, '2026-11-21')"
            yield lambda number: line.execute(insert, (number,)).close()


def main() -> None:
    url, times = sys.argv[1], int(sys.argv[2])
    taken = []
    with committing(url) as commit:
        for number in range(times):
            started = time.perf_counter()
            commit(number)
            taken.append(time.perf_counter() - started)
    json.dump(taken, sys.stdout)


if __name__ == "__main__":
    main()
