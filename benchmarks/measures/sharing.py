"""Two workers on two processors, against one."""

from collections.abc import Iterator

from benchmarks import known
from benchmarks.arithmetic import Target, median, ratio
from benchmarks.bench import Bench
from benchmarks.databases import Database
from benchmarks.load import errors_of, put_on
from benchmarks.loader import Group
from benchmarks.report import Figure, Row, Section
from benchmarks.servers import Running

_CROWD = 64
_TARGET = Target(at_least=1.4)


def workers(bench: Bench) -> Iterator[Section]:
    """Yield the rate of hits with one worker and with two, loader and database beside them."""
    rows = [_row(bench, database) for database in bench.databases]
    title = f"Hits of one worker and of two, {_CROWD} connections, two processors shared by all"
    yield Section(measure="workers", title=title, rows=rows)


def _row(bench: Bench, database: Database) -> Row:
    url = database.copy()
    one = bench.starter.askonce(url, is_alone=False)
    known.learn(one)
    two = bench.starter.askonce(url, is_alone=False, ASKONCE_WORKERS=2)
    rates: tuple[list[float], list[float]] = ([], [])
    errors = 0
    for server in (one, two):
        # The second worker may be ready a little after the first.
        put_on(_crowd(server, 1.0))
    for _ in range(bench.rounds):
        for server, found in zip((one, two), rates, strict=True):
            (seen,) = put_on(_crowd(server, bench.seconds))
            found.append(len(seen.latencies) / seen.elapsed)
            errors += errors_of(seen)
    one.stop()
    two.stop()
    return Row(
        database.name,
        (
            Figure("one", median(rates[0]), "1/s", decimals=0),
            Figure("two", median(rates[1]), "1/s", decimals=0),
            Figure("x one", ratio(rates[1], rates[0]), "", _TARGET, decimals=2),
            Figure("errors", errors, decimals=0),
        ),
    )


def _crowd(server: Running, seconds: float) -> Group:
    return Group(port=server.port, requests=known.requests(), connections=_CROWD, seconds=seconds)
