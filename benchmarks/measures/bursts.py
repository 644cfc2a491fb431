"""A thousand slow misses: all at one moment, or over ten seconds, with hits beside them."""

from collections.abc import Iterator
from itertools import count

from benchmarks import known
from benchmarks.arithmetic import Target, median, percentile
from benchmarks.bench import Bench
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
_STANDING_SECONDS = 5.0
_CROWD = 64
_LEAST_SHARE = 0.7
_MOST_STANDING_P99_MS = 100.0
# The last arrivals' calls have begun after so long.
_SETTLING_SECONDS = 0.5


def burst(bench: Bench) -> Iterator[Section]:
    """Yield how a thousand different questions at one moment fare against a 5 s provider."""
    rows = []
    for database in bench.databases:
        taken = [_burst(bench, database.copy()) for _ in range(1 if bench.is_quick else 2)]
        rows.append(
            Row(
                database.name,
                (
                    Figure("wall", median(one[0] for one in taken), "s", _at_most(_MOST_SECONDS)),
                    Figure("not 200", sum(one[1] for one in taken), "", _at_most(0), decimals=0),
                    Figure("hits p50", median(one[2] for one in taken), "ms"),
                    Figure(
                        "hits p99", median(one[3] for one in taken), "ms", _at_most(_MOST_P99_MS)
                    ),
                    Figure("peak", max(one[4] for one in taken), "MiB", _at_most(_MOST_MIB)),
                ),
            )
        )
    title = f"{_CALLS} misses at one moment, {_CALL_SECONDS} s each; {_HITS_A_SECOND:.0f} hits/s"
    yield Section(measure="burst", title=title, rows=rows)


def inflight(bench: Bench) -> Iterator[Section]:
    """Yield what hits keep of their rate while a thousand calls arrive, and while they stand."""
    rows = [row for database in bench.databases for row in _inflight(bench, database.copy())]
    title = f"{_CROWD} connections with hits, beside {_CALLS} calls in flight"
    yield Section(measure="inflight", title=title, rows=rows)


def _burst(bench: Bench, url: str) -> tuple[float, int, float, float, float]:
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
    return (
        calls.elapsed,
        errors_of(calls) + errors_of(hits),
        percentile(hits.latencies, 0.5) * 1e3,
        percentile(hits.latencies, 0.99) * 1e3,
        peak,
    )


def _inflight(bench: Bench, url: str) -> Iterator[Row]:
    server = bench.starter.askonce(url, ASKONCE_MAX_CALLS=_MAX_CALLS)
    known.learn(server)
    name = url.partition(":")[0]
    together = _ARRIVING_SECONDS + _STANDING_SECONDS
    put_on(_crowd(server, 1.0))
    (quiet,) = put_on(_crowd(server, 4.0))
    calls, hits = put_on(
        _slow(server, together, arriving_over=_ARRIVING_SECONDS), _crowd(server, together)
    )
    server.stop()
    rate = len(quiet.latencies) / quiet.elapsed
    yield Row(f"{name}, undisturbed", tuple(_beside(quiet, 0, quiet.elapsed)))
    yield Row(f"{name}, arriving", tuple(_beside(hits, 0, _ARRIVING_SECONDS, undisturbed=rate)))
    settled = _ARRIVING_SECONDS + _SETTLING_SECONDS
    errors = errors_of(calls) + errors_of(hits)
    yield Row(
        f"{name}, all in flight",
        (
            *_beside(hits, settled, together, undisturbed=rate, is_judged=True),
            Figure("not 200", errors, "", _at_most(0), decimals=0),
        ),
    )


def _beside(
    seen: Seen, start: float, end: float, *, undisturbed: float = 0.0, is_judged: bool = False
) -> Iterator[Figure]:
    latencies = within(seen, start, end)
    rate = len(latencies) / (end - start)
    p99 = percentile(latencies, 0.99) * 1e3
    yield Figure("rate", rate, "1/s", decimals=0)
    if undisturbed:
        least = Target(at_least=_LEAST_SHARE) if is_judged else None
        yield Figure("x undisturbed", rate / undisturbed, "", least, decimals=2)
    yield Figure("p99", p99, "ms", _at_most(_MOST_STANDING_P99_MS) if is_judged else None)


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
