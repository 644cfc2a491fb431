"""Puts loads on servers, and reads what they did and cost."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from benchmarks import processors
from benchmarks.arithmetic import median, percentile
from benchmarks.keys import KEY
from benchmarks.loader import Group, Seen
from benchmarks.servers import Running

# Longer than any load takes: the loader gives up before, unless it hangs itself.
_PATIENCE_SECONDS = 300.0
# The bare endpoint gets it too, and does nothing with it.
_AUTHORIZATION = f"authorization: Bearer {KEY}\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one load made of one server.

    `rate` is answers a second, `cpu_us` microseconds of the server's processor for each answer,
    `others` the share (0 to 1) of the other processor that loader, database and stub used.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    cpu_us: float
    others: float
    errors: int


def post(text: str, user: str = "alice", *, provider: str = "", cache_control: str = "") -> str:
    """Return a request to analyse `text`, as it goes over the wire."""
    body = json.dumps({"text": text, "provider": provider} if provider else {"text": text})
    extra = f"cache-control: {cache_control}\r\n" if cache_control else ""
    return (
        f"POST /analyze/{user} HTTP/1.1\r\nhost: localhost\r\n{_AUTHORIZATION}{extra}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}"
    )


def get(path: str) -> str:
    """Return a request for `path`, as it goes over the wire."""
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{_AUTHORIZATION}\r\n"


def put_on(*groups: Group) -> list[Seen]:
    """Put groups of connections on servers, all at one time, from a process of its own."""
    told = json.dumps([asdict(group) for group in groups])
    command = [sys.executable, "-m", "benchmarks.loader"]
    done = subprocess.run(
        command,
        input=told,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_PATIENCE_SECONDS,
    )
    return [Seen(**seen) for seen in json.loads(done.stdout)]


def measured(server: Running, group: Group) -> Figures:
    """Put one load on a server and return what it did and cost."""
    started = time.perf_counter()
    cpu_before, busy_before = server.cpu_seconds(), processors.busy_seconds(processors.OTHERS)
    (seen,) = put_on(group)
    cpu = server.cpu_seconds() - cpu_before
    others = processors.busy_seconds(processors.OTHERS) - busy_before
    elapsed = time.perf_counter() - started
    answers = max(1, len(seen.latencies))
    return Figures(
        rate=len(seen.latencies) / seen.elapsed,
        p50_ms=percentile(seen.latencies, 0.5) * 1e3,
        p99_ms=percentile(seen.latencies, 0.99) * 1e3,
        cpu_us=cpu / answers * 1e6,
        others=others / elapsed,
        errors=errors_of(seen),
    )


def within(seen: Seen, start: float, end: float) -> list[float]:
    """Return the latencies of the answers that came in a part of the load (seconds)."""
    timed = zip(seen.latencies, seen.ended, strict=True)
    return [latency for latency, ended in timed if start <= ended < end]


def errors_of(seen: Seen) -> int:
    """Return how many answers were not a 200, or did not come."""
    return sum(times for status, times in seen.statuses.items() if status != "200")


def medians(rounds: list[Figures]) -> Figures:
    """Return the median of each figure; errors of all rounds."""
    return Figures(
        rate=median(one.rate for one in rounds),
        p50_ms=median(one.p50_ms for one in rounds),
        p99_ms=median(one.p99_ms for one in rounds),
        cpu_us=median(one.cpu_us for one in rounds),
        others=median(one.others for one in rounds),
        errors=sum(one.errors for one in rounds),
    )
