"""A closed-loop HTTP client that costs little: it must not be what is measured.

Run as `python -m benchmarks.loader`, with a list of `Group` as JSON on standard input; it writes
what each of them saw, as JSON. A process of its own, so that it can have a processor of its own.
"""

import asyncio
import gc
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from typing import cast

import uvloop

# Anything that takes longer than this is a server that hangs, not a slow one.
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Connections that send requests, each its next one when it has its answer.

    They send for `seconds`, or `times` each, or (where neither is given) until all other groups
    have ended. The connections are open before the clock starts; the first requests are spread
    over `arriving_over` seconds, else sent at one moment. With a `rate` (requests a second of all
    of them together) requests have their times, and the wait for an answer is counted from then:
    a server that stands still for a second keeps all waiting who would have come meanwhile.

    `requests` are whole HTTP requests in Latin-1; each connection goes through all of them, from
    a place of its own.
    """

    port: int
    requests: list[str] = field(repr=False)
    connections: int
    seconds: float = 0.0
    times: int = 0
    arriving_over: float = 0.0
    rate: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came back. `ended` are the seconds since `started_at` (Unix time) of each answer."""

    started_at: float
    elapsed: float
    latencies: list[float] = field(repr=False)
    ended: list[float] = field(repr=False)
    statuses: dict[str, int]


class Connection(asyncio.Protocol):
    """One keep-alive connection that sends its next request when it has its answer."""

    def __init__(self, requests: Iterator[bytes], *, times: int, every: float) -> None:
        self._requests = requests
        self._left = times
        self._every = every
        self._buffer = b""
        self._sent = 0.0
        self._until = 0.0
        self._is_waiting = False
        self.latencies: list[float] = []
        self.ended: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def start(self, until: float) -> None:
        """Send the first request; none is sent after `until`."""
        self._until = until
        self._sent = time.perf_counter()
        self._send()

    def end(self) -> None:
        """Send nothing more."""
        self._until = 0.0

    def give_up(self) -> None:
        """Wait no longer for the answer that has not come."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            return
        now = time.perf_counter()
        self.latencies.append(now - self._sent)
        self.ended.append(now)
        self.statuses[head[9:12].decode()] += 1
        self._buffer = b""
        self._is_waiting = False
        self._left -= 1
        if self._left == 0 or now >= self._until:
            self._transport.close()
        elif self._every:
            self._wait_for_turn(now)
        else:
            self._sent = now
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._is_waiting:
            self.statuses["lost"] += 1
        if not self.is_over.done():
            self.is_over.set_result(None)

    def _wait_for_turn(self, now: float) -> None:
        self._sent += self._every
        if (early := self._sent - now) > 0:
            asyncio.get_running_loop().call_later(early, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self._is_waiting = True
        self._transport.write(next(self._requests))


async def run(groups: list[Group]) -> list[Seen]:
    """Put all groups on servers of this machine at one time."""
    connected = [await _connect(group) for group in groups]
    started, started_at = time.perf_counter(), time.time()
    running = [
        asyncio.create_task(_drive(group, connections, started))
        for group, connections in zip(groups, connected, strict=True)
    ]
    await asyncio.gather(
        *(task for group, task in zip(groups, running, strict=True) if _ends_by_itself(group))
    )
    for connections in connected:
        for connection in connections:
            connection.end()
    await asyncio.gather(*running)
    return [
        _seen(connections, started, started_at, task.result())
        for connections, task in zip(connected, running, strict=True)
    ]


async def _connect(group: Group) -> list[Connection]:
    requests = [request.encode("latin-1") for request in group.requests]
    loop = asyncio.get_running_loop()
    connections = []
    for number in range(group.connections):
        turn = islice(cycle(requests), number % len(requests), None)
        connection = Connection(turn, times=group.times or -1, every=_one_turn(group))
        await loop.create_connection(lambda made=connection: made, "127.0.0.1", group.port)  # type: ignore[misc]
        connections.append(connection)
    return connections


async def _drive(group: Group, connections: list[Connection], started: float) -> float:
    """Return how many seconds passed until the last answer."""
    until = started + group.seconds if group.seconds else float("inf")
    gap = (group.arriving_over or _one_turn(group)) / len(connections)
    for number, connection in enumerate(connections):
        if gap and (early := started + number * gap - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        connection.start(until)
    waiting = [connection.is_over for connection in connections]
    patience = _PATIENCE_SECONDS if _ends_by_itself(group) else None
    _, missing = await asyncio.wait(waiting, timeout=patience)
    for connection in connections:
        if connection.is_over in missing:
            connection.give_up()
    return time.perf_counter() - started


def _one_turn(group: Group) -> float:
    """Return the seconds in which each connection of a group with a rate has its turn once."""
    return group.connections / group.rate if group.rate else 0.0


def _ends_by_itself(group: Group) -> bool:
    return bool(group.seconds or group.times)


def _seen(connections: list[Connection], started: float, started_at: float, elapsed: float) -> Seen:
    statuses: Counter[str] = Counter()
    for connection in connections:
        statuses.update(connection.statuses)
    return Seen(
        started_at=started_at,
        elapsed=elapsed,
        latencies=[round(one, 6) for each in connections for one in each.latencies],
        ended=[round(one - started, 6) for each in connections for one in each.ended],
        statuses=dict(statuses),
    )


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


def main() -> None:
    """Read groups, run them, write what was seen."""
    groups = [Group(**told) for told in json.load(sys.stdin)]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    gc.disable()
    json.dump([asdict(seen) for seen in uvloop.run(run(groups))], sys.stdout)


if __name__ == "__main__":
    main()
