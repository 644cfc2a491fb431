"""Questions without an answer: what asking through askonce costs more than asking the SDK."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from benchmarks import known, processors
from benchmarks.arithmetic import Target, median, percentile
from benchmarks.bench import Bench
from benchmarks.load import errors_of, post, put_on
from benchmarks.loader import Group
from benchmarks.report import Figure, Row, Section
from benchmarks.servers import Running

_VENDORS = ("claude", "openai")
_CALLS = 100
_FEW_CALLS = 15
_DIRECT = "SDK alone"
_NAIVE = "SDK, a client for each call"
_MOST_CPU_MS = 3.0
_NUMBERS = count()


@dataclass(frozen=True, slots=True)
class _Calls:
    """One round of calls: the median of their times, and the processor's for each, in ms."""

    p50_ms: float
    cpu_ms: float


def misses(bench: Bench) -> Iterator[Section]:
    """Yield what one miss after the other takes, beside the SDK's own calls."""
    servers = {
        database.name: bench.starter.askonce(
            database.copy(), OPENAI_API_KEY="stub", OPENAI_BASE_URL=bench.stub.openai_url
        )
        for database in bench.databases
    }
    for server in servers.values():
        known.learn(server)
        for vendor in _VENDORS:
            _asked(server, vendor, calls=_FEW_CALLS)
    calls = _CALLS // 2 if bench.is_quick else _CALLS
    rounds: dict[tuple[str, str], list[_Calls]] = {}
    for _ in range(bench.rounds):
        for vendor in _VENDORS:
            taken = {
                _DIRECT: _direct(bench, vendor, calls=calls),
                _NAIVE: _direct(bench, vendor, "--client-per-call", calls=_FEW_CALLS),
            }
            taken |= {name: _asked(server, vendor, calls=calls) for name, server in servers.items()}
            for name, one in taken.items():
                rounds.setdefault((vendor, name), []).append(one)
    for server in servers.values():
        server.stop()
    rows = [_row(vendor, name, rounds) for vendor, name in rounds]
    yield Section(measure="misses", title="Misses, one after the other, beside the SDK", rows=rows)


def _row(vendor: str, name: str, rounds: dict[tuple[str, str], list[_Calls]]) -> Row:
    mine, direct = rounds[vendor, name], rounds[vendor, _DIRECT]
    figures = [
        Figure("p50", median(one.p50_ms for one in mine), "ms", decimals=2),
        Figure("CPU", median(one.cpu_ms for one in mine), "ms", decimals=2),
    ]
    if name != _DIRECT:
        pairs = list(zip(mine, direct, strict=True))
        wall = median(one.p50_ms - other.p50_ms for one, other in pairs)
        cpu = median(one.cpu_ms - other.cpu_ms for one, other in pairs)
        target = None if name == _NAIVE else Target(at_most=_MOST_CPU_MS)
        figures.append(Figure("p50 more", wall, "ms", decimals=2))
        figures.append(Figure("CPU more", cpu, "ms", target, decimals=2))
    return Row(f"{vendor}, {name}", tuple(figures))


def _asked(server: Running, vendor: str, *, calls: int) -> _Calls:
    requests = [
        post(f"Question {next(_NUMBERS)} of a kind?", provider=vendor) for _ in range(calls)
    ]
    cpu = server.cpu_seconds()
    (seen,) = put_on(Group(port=server.port, requests=requests, connections=1, times=calls))
    if errors_of(seen):
        raise RuntimeError(f"misses were answered with {seen.statuses}")
    cpu_seconds = (server.cpu_seconds() - cpu) / calls
    return _Calls(percentile(seen.latencies, 0.5) * 1e3, cpu_seconds * 1e3)


def _direct(bench: Bench, vendor: str, *options: str, calls: int) -> _Calls:
    told = [vendor, bench.stub.url, str(calls), *options]
    command = processors.alone([sys.executable, "-m", "benchmarks.direct", *told])
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    seen = json.loads(done.stdout)
    return _Calls(percentile(seen["seconds"], 0.5) * 1e3, seen["cpu_seconds"] * 1e3)
