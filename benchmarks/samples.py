"""What a server holds at one time: memory, threads, handles, connections, log."""

from dataclasses import dataclass
from pathlib import Path

import psycopg

from benchmarks.servers import Running
from benchmarks.trends import Bound

BOUNDS = (
    Bound("memory", "MiB", 16.0),
    # Pools open what they need when it is needed, and keep it. What leaked one a call, or one in a
    # hundred requests, would leak thousands.
    Bound("threads", "", 32.0),
    Bound("handles", "", 64.0),
    Bound("connections", "", 16.0),
    Bound("WAL", "MiB", 16.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look at a server: what it did since the last look, and what it holds.

    `at` is seconds since the start; `held` has values by the names of `BOUNDS`.
    """

    at: float
    rate: float
    p99_ms: float
    held: dict[str, float]


def held(server: Running, database_url: str) -> dict[str, float]:
    """Return what a server holds now, by the names of `BOUNDS`."""
    files = server.open_files()
    found = {
        "memory": server.memory_mib(),
        "threads": float(server.threads()),
        "handles": float(len(files)),
    }
    if not database_url.startswith("sqlite"):
        # PostgreSQL's log is its own business, and as long as its settings let it be.
        return {**found, "connections": _connections(database_url)}
    file = database_url.removeprefix("sqlite:///")
    log = Path(f"{file}-wal")
    return {
        **found,
        "connections": float(files.count(file)),
        "WAL": log.stat().st_size / 2**20 if log.exists() else 0.0,
    }


def _connections(url: str) -> float:
    with psycopg.connect(url, autocommit=True) as line:
        found = line.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'askonce'"
        ).fetchone()
    return float(found[0]) if found else 0.0
