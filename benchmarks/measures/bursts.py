"""A thousand slow misses: all at one moment, or over ten seconds, with hits beside them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from benchmarks import known
from benchmarks.arithmetic import Target, median, percentile
from benchmarks.bench import Bench
from benchmarks.databases import Database
from benchmarks.load import errors_of, post, put_on, within
from benchmarks.loader import Group, Seen
from benchmarks.report import Figure, Row, Section
from benchmarks.servers import Running

_CALLS = 1000
_MAX_CALLS = 1100
_NUMBERS = count()

_CALL_SECONDS = 5
_MOST_SECONDS = 9.0
_MOST_MIB = 300.0
_MOST_P99_MS = 500.0
# Few enough to be no load, and at their times, whatever the server does: see Group.rate.
_HITS_A_SECOND = 200.0
_VISITORS = 16

_ARRIVING_SECONDS = 10.0
# Shorter than a try may take, longer than arriving does even where that takes its time.
_STANDING_CALL_SECONDS = 18.0
_CROWD = 64
_LEAST_SHARE = 0.7
_MOST_STANDING_P99_MS = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Burst:
    seconds: float
    errors: int
    hits_p50_ms: float
    hits_p99_ms: float
    peak_mib: float


def burst(bench: Bench) -> Iterator[Section]:
    """Yield how a thousand different questions at one moment fare against a 5 s provider."""
    rows = []
    for database in bench.databases:
        taken = [_burst(bench, database.copy()) for _ in range(1 if bench.is_quick else 3)]
        seconds = median(one.seconds for one in taken)
        errors = sum(one.errors for one in taken)
        p50 = median(one.hits_p50_ms for one in taken)
        p99 = median(one.hits_p99_ms for one in taken)
        peak = max(one.peak_mib for one in taken)
        figures = (
            Figure("wall", seconds, "s", _at_most(_MOST_SECONDS)),
            Figure("not 200", errors, "", _at_most(0), decimals=0),
            Figure("hits p50", p50, "ms"),
            Figure("hits p99", p99, "ms", _at_most(_MOST_P99_MS)),
            Figure("peak", peak, "MiB", _at_most(_MOST_MIB), decimals=0),
        )
        rows.append(Row(database.name, figures))
    title = f"{_CALLS} misses at one moment, {_CALL_SECONDS} s each; {_HITS_A_SECOND:.0f} hits/s"
    yield Section(measure="burst", title=title, rows=rows)


def inflight(bench: Bench) -> Iterator[Section]:
    """Yield what hits keep of their rate while a thousand calls arrive, and while they stand."""
    rows = [row for database in bench.databases for row in _inflight(bench, database)]
    title = f"{_CROWD} connections with hits, beside {_CALLS} calls in flight"
    yield Section(measure="inflight", title=title, rows=rows)


def _burst(bench: Bench, url: str) -> _Burst:
    server = bench.starter.askonce(url, ASKONCE_MAX_CALLS=_MAX_CALLS)
    known.learn(server)
    calls, hits = put_on(
        _slow(server, _CALL_SECONDS),
        Group(
            port=server.port,
            requests=known.requests(),
            connections=_VISITORS,
            rate=_HITS_A_SECOND,
        ),
    )
    peak = server.peak_mib()
    server.stop()
    return _Burst(
        seconds=calls.elapsed,
        errors=errors_of(calls) + errors_of(hits),
        hits_p50_ms=percentile(hits.latencies, 0.5) * 1e3,
        hits_p99_ms=percentile(hits.latencies, 0.99) * 1e3,
        peak_mib=peak,
    )


def _inflight(bench: Bench, database: Database) -> Iterator[Row]:
    server = bench.starter.askonce(database.copy(), ASKONCE_MAX_CALLS=_MAX_CALLS)
    known.learn(server)
    bench.stub.reset()
    put_on(_crowd(server, 1.0))
    (quiet,) = put_on(_crowd(server, 4.0))
    calls, hits = put_on(
        _slow(server, _STANDING_CALL_SECONDS, arriving_over=_ARRIVING_SECONDS),
        _crowd(server, _STANDING_CALL_SECONDS),
    )
    server.stop()
    # As the provider saw it: what is still on its way to it is not in flight.
    begun = [call["started"] - hits.started_at for call in bench.stub.calls()]
    all_begun = max(begun)
    end = max(all_begun, _STANDING_CALL_SECONDS)
    yield _beside(database, "undisturbed", quiet, (0, quiet.elapsed))
    arriving = _beside(database, "arriving", hits, (0, all_begun), quiet=quiet)
    yield Row(arriving.of, (*arriving.figures, Figure("for", all_begun, "s")))
    standing = _beside(
        database, "all in flight", hits, (all_begun, end), quiet=quiet, is_judged=True
    )
    errors = Figure("not 200", errors_of(calls) + errors_of(hits), "", _at_most(0), decimals=0)
    seconds = Figure("for", end - all_begun, "s")
    yield Row(standing.of, (*standing.figures, seconds, errors))


def _beside(
    database: Database,
    when: str,
    seen: Seen,
    window: tuple[float, float],
    *,
    quiet: Seen | None = None,
    is_judged: bool = False,
) -> Row:
    latencies = within(seen, *window)
    rate = len(latencies) / max(0.1, window[1] - window[0])
    figures = [Figure("rate", rate, "1/s", decimals=0)]
    if quiet is not None:
        share = rate / (len(quiet.latencies) / quiet.elapsed)
        least = Target(at_least=_LEAST_SHARE) if is_judged else None
        figures.append(Figure("x undisturbed", share, "", least, decimals=2))
    most = _at_most(_MOST_STANDING_P99_MS) if is_judged else None
    figures.append(Figure("p99", percentile(latencies, 0.99) * 1e3, "ms", most))
    return Row(f"{database.name}, {when}", tuple(figures))


def _slow(server: Running, seconds: float, *, arriving_over: float = 0.0) -> Group:
    questions = [f"Slow question {next(_NUMBERS)}? [[slow={seconds}]]" for _ in range(_CALLS)]
    return Group(
        port=server.port,
        requests=[post(question) for question in questions],
        connections=_CALLS,
        times=1,
        arriving_over=arriving_over,
    )


def _crowd(server: Running, seconds: float) -> Group:
    return Group(port=server.port, requests=known.requests(), connections=_CROWD, seconds=seconds)


def _at_most(bound: float) -> Target:
    return Target(at_most=bound)
