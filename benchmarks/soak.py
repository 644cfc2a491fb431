"""`python -m benchmarks.soak --minutes 60`: a mixed load for a long time; what is held stays flat.

Finds out how much of the mix the server can do, then asks for half of it and looks every few
seconds at what it holds. The exit code is 1 where something grew beyond its bound after the
warm-up, or an answer was not what it should be.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import uvloop

from benchmarks import processors
from benchmarks.arithmetic import percentile
from benchmarks.databases import POSTGRESQL, SQLITE, databases
from benchmarks.samples import BOUNDS, Sample, held
from benchmarks.servers import Running, Starter
from benchmarks.visitors import Seen, Visitor
from tests.stub.client import StubProvider

_VISITORS = 64
_FINDING_OUT_SECONDS = 10.0
_SHARE = 0.5
_MOST_SAMPLES = 720
_LEAST_GAP_SECONDS = 1.0
# Long enough for all tries of a question that fails `times=1`: the stub forgets that too.
_FORGETTING_SECONDS = 30.0
_SHOWN = 12


class Soak:
    """One server under a mixed load."""

    def __init__(self, server: Running, database_url: str, stub: StubProvider) -> None:
        self._server = server
        self._database_url = database_url
        self._stub = stub
        self._numbers = count()
        self._seen = Seen()
        self.samples: list[Sample] = []
        self.rate = 0.0

    async def run(self, seconds: float) -> None:
        """Put the mix on, first as fast as it goes, then at half that rate."""
        # The first call imports an SDK.
        await self._visit(_FINDING_OUT_SECONDS / 2, rate=0.0)
        self._seen.latencies.clear()
        await self._visit(_FINDING_OUT_SECONDS, rate=0.0)
        self.rate = len(self._seen.latencies) / _FINDING_OUT_SECONDS * _SHARE
        self._seen.latencies.clear()
        watching = asyncio.create_task(self._watch(seconds))
        await self._visit(seconds, rate=self.rate)
        await watching

    @property
    def wrong(self) -> dict[str, int]:
        """Return how often which answer came that should not."""
        return dict(self._seen.wrong)

    async def _visit(self, seconds: float, *, rate: float) -> None:
        every = _VISITORS / rate if rate else 0.0
        until = time.monotonic() + seconds
        port = self._server.port
        async with asyncio.TaskGroup() as visiting:
            for seed in range(_VISITORS):
                visitor = Visitor(port, seed=seed, numbers=self._numbers, seen=self._seen)
                visiting.create_task(visitor.visit(until, every))

    async def _watch(self, seconds: float) -> None:
        gap = max(_LEAST_GAP_SECONDS, seconds / _MOST_SAMPLES)
        started = looked = forgotten = time.monotonic()
        while time.monotonic() + gap - started <= seconds:
            await asyncio.sleep(gap)
            latencies, self._seen.latencies = self._seen.latencies, []
            now = time.monotonic()
            sample = Sample(
                at=now - started,
                rate=len(latencies) / (now - looked),
                p99_ms=percentile(latencies, 0.99) * 1e3,
                held=await asyncio.to_thread(held, self._server, self._database_url),
            )
            self.samples.append(sample)
            looked = now
            if now - forgotten > _FORGETTING_SECONDS:
                # It remembers every call until then.
                await asyncio.to_thread(self._stub.reset)
                forgotten = now


def main() -> int:
    """Soak a server on each database; the exit code is 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--minutes", type=float, default=60.0, help="for each database")
    parser.add_argument("--database", action="append", choices=[SQLITE, POSTGRESQL])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    processors.stay_with_the_others()
    is_well = True
    with (
        tempfile.TemporaryDirectory(prefix="askonce-soak-", dir=options.folder) as name,
        StubProvider() as stub,
        databases(Path(name), options.database or [SQLITE, POSTGRESQL]) as found,
        Starter(Path(name) / "servers", stub) as starter,
    ):
        for database in found:
            url = database.copy()
            server = starter.askonce(url)
            soak = Soak(server, url, stub)
            uvloop.run(soak.run(options.minutes * 60))
            server.stop()
            is_well &= _told(database.name, soak)
    return 0 if is_well else 1


def _told(name: str, soak: Soak) -> bool:
    """Print what was seen, and return whether it is as it should be."""
    bounds = [bound for bound in BOUNDS if all(bound.name in one.held for one in soak.samples)]
    print(f"\n{name}: {soak.rate:.0f} requests a second, half of what it can do")
    headings = "".join(f"{bound.name} {bound.unit}".rjust(14) for bound in bounds)
    print(f"     s   1/s  p99 ms{headings}")
    for sample in _thinned(soak.samples):
        cells = "".join(f"{sample.held[bound.name]:14.1f}" for bound in bounds)
        print(f"{sample.at:6.0f}{sample.rate:6.0f}{sample.p99_ms:8.1f}{cells}")
    is_well = not soak.wrong
    for bound in bounds:
        values = [sample.held[bound.name] for sample in soak.samples]
        is_well &= bound.holds_for(values)
        verdict = "yes" if bound.holds_for(values) else "NO"
        rise = f"{bound.rise(values):.1f} {bound.unit}".strip()
        print(f"  {bound.name} rose by {rise} <= {bound.most:.0f} {verdict}")
    print(f"  answers that should not be: {soak.wrong or 'none'}", flush=True)
    return is_well


def _thinned(samples: Sequence[Sample]) -> Sequence[Sample]:
    step = max(1, len(samples) // _SHOWN)
    return samples[step - 1 :: step]


if __name__ == "__main__":
    sys.exit(main())
