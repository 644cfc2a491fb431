"""How soon a server answers after it was started, and what memory it holds."""

from collections.abc import Iterator

from benchmarks import known
from benchmarks.arithmetic import Target, median
from benchmarks.bench import Bench
from benchmarks.databases import Database
from benchmarks.load import put_on
from benchmarks.loader import Group
from benchmarks.report import Figure, Row, Section

_MOST_SECONDS = 2.0
_MOST_MIB = 120.0
_HITS_SECONDS = 3.0
_CROWD = 64


def start(bench: Bench) -> Iterator[Section]:
    """Yield start-up with migrations current, and memory as a server gets to work."""
    rows = [_row(bench, database) for database in bench.databases]
    yield Section(measure="start", title="Start-up, and memory held", rows=rows)


def _row(bench: Bench, database: Database) -> Row:
    url = database.copy()
    server = bench.starter.askonce(url)
    idle = server.memory_mib()
    known.answer(server)
    called = server.memory_mib()
    known.learn(server)
    put_on(
        Group(
            port=server.port,
            requests=known.requests(),
            connections=_CROWD,
            seconds=_HITS_SECONDS,
        )
    )
    busy = server.memory_mib()
    server.stop()
    times = []
    for _ in range(bench.rounds):
        again = bench.starter.askonce(url)
        known.answer(again)
        times.append(again.age())
        again.stop()
    return Row(
        database.name,
        (
            Figure("first answer", median(times), "s", Target(at_most=_MOST_SECONDS), decimals=2),
            Figure("idle", idle, "MiB", Target(at_most=_MOST_MIB), decimals=0),
            Figure("after a call", called, "MiB", decimals=0),
            Figure("after hits", busy, "MiB", decimals=0),
        ),
    )
