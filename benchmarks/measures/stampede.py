"""Two hundred who ask one question at one moment: one call, and how soon the last is answered."""

from collections.abc import Iterator

from benchmarks import known
from benchmarks.arithmetic import Target, median
from benchmarks.bench import Bench
from benchmarks.load import errors_of, post, put_on
from benchmarks.loader import Group
from benchmarks.report import Figure, Row, Section
from benchmarks.servers import Running

_CROWD = 200
_SECONDS = 1.0
# By number of processes.
_MOST_MS = {1: 50.0, 2: 150.0}


def stampede(bench: Bench) -> Iterator[Section]:
    """Yield what a crowd at one process, and at two over one database, sees."""
    rows = []
    for database in bench.databases:
        url = database.copy()
        for processes, most in _MOST_MS.items():
            servers = [bench.starter.askonce(url) for _ in range(processes)]
            for server in servers:
                known.learn(server)
            taken = [_stampede(bench, servers, number) for number in range(bench.rounds)]
            for server in servers:
                server.stop()
            late = median(one[0] for one in taken)
            calls = max(one[1] for one in taken)
            errors = sum(one[2] for one in taken)
            rows.append(
                Row(
                    f"{database.name}, {processes} process{'es' if processes > 1 else ''}",
                    (
                        Figure("calls", calls, "", Target(at_least=1, at_most=1), decimals=0),
                        Figure("not 200", errors, "", Target(at_most=0), decimals=0),
                        Figure("last answer after", late, "ms", Target(at_most=most)),
                        Figure("worst", max(one[0] for one in taken), "ms"),
                    ),
                )
            )
    title = f"{_CROWD} ask one question at one moment; the last answer after the provider's"
    yield Section(measure="stampede", title=title, rows=rows)


def _stampede(bench: Bench, servers: list[Running], number: int) -> tuple[float, int, int]:
    """Return milliseconds from the provider's answer to the last client's, calls and errors."""
    bench.stub.reset()
    processes = len(servers)
    question = post(f"What do {processes} ask {number}? [[slow={_SECONDS}]]")
    crowd = _CROWD // processes
    seen = put_on(
        *(
            Group(port=server.port, requests=[question], connections=crowd, times=1)
            for server in servers
        )
    )
    calls = bench.stub.calls()
    last = max(one.started_at + max(one.ended, default=0.0) for one in seen)
    answered = min(call["ended"] for call in calls)
    return (last - answered) * 1e3, len(calls), sum(errors_of(one) for one in seen)
