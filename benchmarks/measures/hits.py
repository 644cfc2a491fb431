"""Questions that have an answer, beside the bare framework: how many, how soon, at what cost."""

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks import known, processors
from benchmarks.arithmetic import Target, median, percentile, ratio
from benchmarks.bench import Bench
from benchmarks.load import Figures, measured, medians
from benchmarks.loader import Group
from benchmarks.report import Figure, Row, Section
from benchmarks.servers import Running

BARE = "bare"
_CROWD = 64
_MANY = 256
_CROWDS = (1, 16, _CROWD, _MANY, 1000)
_QUICK_CROWDS = (1, _CROWD, _MANY, 1000)
# The least share of the bare framework's rate, by connections.
_TO_BARE = {_CROWD: 1.2, 1000: 0.65}
# The least share of its own rate at 64 connections.
_TO_FEW = 0.85
_OVERHEAD_MS = 0.3
_COMMITS = 200

Rounds = dict[str, list[Figures]]


def hits(bench: Bench) -> Iterator[Section]:
    """Yield hits at growing numbers of connections, then the one hit that waits for nobody."""
    servers: dict[str, Running] = {}
    answer = ""
    for database in bench.databases:
        server = servers[database.name] = bench.starter.askonce(database.copy())
        known.learn(server)
        answer = known.answer(server)
    servers[BARE] = bench.starter.bare(answer)
    crowds = _QUICK_CROWDS if bench.is_quick else _CROWDS
    taken: dict[int, Rounds] = {crowd: {name: [] for name in servers} for crowd in crowds}
    commits: dict[str, list[float]] = {database.name: [] for database in bench.databases}
    for _ in range(bench.rounds):
        for crowd in crowds:
            for name, server in servers.items():
                taken[crowd][name].append(_round(bench, server, crowd))
        for database in bench.databases:
            commits[database.name].append(_commit_ms(database.copy()))
    for server in servers.values():
        server.stop()
    yield _crowds(taken)
    yield _growing(taken)
    yield _alone(taken[1], commits)


def _round(bench: Bench, server: Running, crowd: int) -> Figures:
    group = Group(
        port=server.port, requests=known.requests(), connections=crowd, seconds=bench.seconds
    )
    return measured(server, group)


def _crowds(taken: dict[int, Rounds]) -> Section:
    rows = []
    for crowd, rounds in taken.items():
        for name in rounds:
            figures = medians(rounds[name])
            row = [
                Figure("rate", figures.rate, "1/s", decimals=0),
                Figure("p50", figures.p50_ms, "ms", decimals=2),
                _p99(crowd, name, rounds),
                Figure("CPU", figures.cpu_us, "us", decimals=0),
                Figure("others", figures.others * 100, "%", decimals=0),
            ]
            if name != BARE:
                share = ratio(_rates(rounds[name]), _rates(rounds[BARE]))
                row.append(Figure("x bare", share, "", _at_least(_TO_BARE.get(crowd)), decimals=2))
            rows.append(Row(f"{crowd} {name}", tuple(row)))
    title = "Hits by number of connections, beside the bare framework"
    return Section(measure="hits", title=title, rows=rows)


def _growing(taken: dict[int, Rounds]) -> Section:
    rows = []
    for name in taken[_CROWD]:
        few, many = _rates(taken[_CROWD][name]), _rates(taken[_MANY][name])
        kept = ratio(many, few)
        target = None if name == BARE else Target(at_least=_TO_FEW)
        errors = sum(one.errors for rounds in taken.values() for one in rounds[name])
        rows.append(
            Row(
                name,
                (
                    Figure(f"{_MANY} x {_CROWD}", kept, "", target, decimals=2),
                    Figure("errors", errors, "", Target(at_most=0), decimals=0),
                ),
            )
        )
    title = f"The rate at {_MANY} connections to that at {_CROWD}, and errors of all"
    return Section(measure="hits", title=title, rows=rows)


def _rates(figures: list[Figures]) -> list[float]:
    return [one.rate for one in figures]


def _at_least(bound: float | None) -> Target | None:
    return None if bound is None else Target(at_least=bound)


def _p99(crowd: int, name: str, rounds: Rounds) -> Figure:
    target = None
    if crowd == _CROWD and name != BARE:
        target = Target(at_most=medians(rounds[BARE]).p99_ms)
    return Figure("p99", medians(rounds[name]).p99_ms, "ms", target)


def _alone(rounds: Rounds, commits: dict[str, list[float]]) -> Section:
    rows = []
    for name, commit in commits.items():
        bare, hit = medians(rounds[BARE]).p50_ms, medians(rounds[name]).p50_ms
        target = Target(at_most=bare + median(commit) + _OVERHEAD_MS)
        rows.append(
            Row(
                name,
                (
                    Figure("bare", bare, "ms", decimals=2),
                    Figure("one commit", median(commit), "ms", decimals=2),
                    Figure("hit", hit, "ms", target, decimals=2),
                ),
            )
        )
    return Section(measure="hits", title="An uncontended hit and its floor (p50)", rows=rows)


def _commit_ms(url: str) -> float:
    command = [sys.executable, "-m", "benchmarks.commits", url, str(_COMMITS)]
    done = subprocess.run(processors.alone(command), stdout=subprocess.PIPE, check=True)
    return percentile(json.loads(done.stdout), 0.5) * 1e3
