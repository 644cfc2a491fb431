"""The newest page of a user's history, and a search in it, as the table grows."""

import http.client
import json
from collections.abc import Iterator

from benchmarks import filling
from benchmarks.arithmetic import Target, percentile
from benchmarks.bench import Bench
from benchmarks.keys import KEY
from benchmarks.load import errors_of, get, put_on
from benchmarks.loader import Group, Seen
from benchmarks.report import Figure, Row, Section
from benchmarks.servers import Running

_SHORT = 100_000
_ANSWERS = 5_000
_MOST_TIMES = 2.0
_MOST_SEARCH_MS = 200.0
# Among fewer answers there is no verdict.
_SEARCH_ROWS = 1_000_000
_SECONDS = 3.0


def history(bench: Bench) -> Iterator[Section]:
    """Yield the newest ten of a user, in a short table and in a long one."""
    urls = {database.name: database.copy() for database in bench.databases}
    servers = {name: bench.starter.askonce(url) for name, url in urls.items()}
    filling.fill(urls.values(), answers=_ANSWERS, analyses=_SHORT)
    short = {name: _pages(bench, server) for name, server in servers.items()}
    filling.fill(urls.values(), answers=0, analyses=bench.rows - _SHORT)
    long = {name: _pages(bench, server) for name, server in servers.items()}
    for server in servers.values():
        server.stop()
    rows = []
    for name in servers:
        rows.append(Row(f"{name}, {_SHORT} rows", _times(short[name])))
        times = percentile(long[name].latencies, 0.5) / percentile(short[name].latencies, 0.5)
        grown = Figure("x short", times, "", Target(at_most=_MOST_TIMES), decimals=2)
        rows.append(Row(f"{name}, {bench.rows} rows", (*_times(long[name]), grown)))
    yield Section(measure="history", title="The newest ten of a user's history", rows=rows)


def search(bench: Bench) -> Iterator[Section]:
    """Yield searches for rare and frequent words, and that what is deleted is not found."""
    urls = {database.name: database.copy() for database in bench.databases}
    filling.fill(urls.values(), answers=bench.search_rows, analyses=bench.search_rows)
    servers = {name: bench.starter.askonce(url) for name, url in urls.items()}
    most = _MOST_SEARCH_MS if bench.search_rows >= _SEARCH_ROWS else None
    rows = []
    for name, server in servers.items():
        for kind, words in _searches(bench.search_rows).items():
            seen = _read(server, [f"{path}?q={q}" for path, q in words], _seconds(bench))
            rows.append(Row(f"{name}, {kind}", _times(seen, most=most)))
        rows.append(Row(f"{name}, what was deleted", (_found_deleted(server),)))
        server.stop()
    title = f"Search among {bench.search_rows} answers of {filling.CHARACTERS} characters"
    yield Section(measure="search", title=title, rows=rows)


def _searches(rows: int) -> dict[str, list[tuple[str, str]]]:
    """Return searches by kind: the path of a user's history and the words."""
    paths = [f"/history/{filling.user(number)}" for number in range(20)]
    return {
        "a frequent word": [(path, filling.word(rank)) for rank, path in enumerate(paths)],
        "a rarer word": [(path, filling.word(900 + n)) for n, path in enumerate(paths)],
        "two words": [
            (path, f"{filling.word(30 + n)}+{filling.word(300 + n)}")
            for n, path in enumerate(paths)
        ],
        "one answer's word": [
            (path, filling.only_word(rows // filling.USERS * filling.USERS // 2 + n))
            for n, path in enumerate(paths)
        ],
        "nobody's word": [(path, f"{filling.only_word(n)}x") for n, path in enumerate(paths)],
    }


def _found_deleted(server: Running) -> Figure:
    """Delete an answer that only one search finds, and return how often it is found then."""
    path = f"/history/{filling.user(7)}"
    key = {"x-api-key": KEY}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request("GET", f"{path}?q={filling.only_word(7)}", headers=key)
        (item,) = json.loads(connection.getresponse().read())["items"]
        connection.request("DELETE", f"/history/{item['id']}", headers=key)
        connection.getresponse().read()
        connection.request("GET", f"{path}?q={filling.only_word(7)}", headers=key)
        found = len(json.loads(connection.getresponse().read())["items"])
    finally:
        connection.close()
    return Figure("found", found, "", Target(at_most=0), decimals=0)


def _pages(bench: Bench, server: Running) -> Seen:
    paths = [f"/history/{filling.user(number)}" for number in range(filling.USERS)]
    _read(server, paths, 0.5)
    return _read(server, paths, _seconds(bench))


def _read(server: Running, paths: list[str], seconds: float) -> Seen:
    requests = [get(path) for path in paths]
    (seen,) = put_on(Group(port=server.port, requests=requests, connections=1, seconds=seconds))
    if errors_of(seen):
        raise RuntimeError(f"the history was answered with {seen.statuses}")
    return seen


def _times(seen: Seen, *, most: float | None = None) -> tuple[Figure, ...]:
    p99 = percentile(seen.latencies, 0.99) * 1e3
    target = None if most is None else Target(at_most=most)
    return (
        Figure("p50", percentile(seen.latencies, 0.5) * 1e3, "ms", decimals=2),
        Figure("p99", p99, "ms", target),
    )


def _seconds(bench: Bench) -> float:
    return 1.0 if bench.is_quick else _SECONDS
