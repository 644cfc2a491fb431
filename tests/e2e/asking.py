"""A client for hundreds of requests at one moment, and for bytes that are no request at all."""

import asyncio
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.serving import PATIENCE_SECONDS

_PROBLEM = "application/problem+json"


class Listener(Protocol):
    """Who takes requests on 127.0.0.1: a server, or a proxy before some."""

    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back. Header names are in lower case; the status is 0 where nothing came."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The type of the problem that this is; empty when it is none."""
        return str(self.json["type"]) if self.headers.get("content-type") == _PROBLEM else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that is to be made."""

    port: int
    method: str = "POST"
    path: str = "/analyze/ann"
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def sent(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "host: localhost", "connection: close"]
        lines += [f"content-length: {len(self.body)}"] if self.body else []
        headers = {"content-type": "application/json", **self.headers}
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def question(server: Listener, text: str, user: str = "ann", cache_control: str = "") -> Call:
    """Return the request to analyse `text`."""
    return Call(
        port=server.port,
        path=f"/analyze/{user}",
        body=json.dumps({"text": text}).encode(),
        headers={"cache-control": cache_control} if cache_control else {},
    )


def analyze(server: Listener, text: str, user: str = "ann", cache_control: str = "") -> Reply:
    """Have `text` analysed, and wait for it."""
    return at_once([question(server, text, user, cache_control)])[0]


def get(server: Listener, path: str) -> Reply:
    return at_once([Call(port=server.port, method="GET", path=path)])[0]


def at_once(calls: Sequence[Call]) -> list[Reply]:
    """Make all calls at one moment; the replies are in the order of the calls."""
    return asyncio.run(_all_at_once(calls))


@contextmanager
def under_way(*calls: Call) -> Iterator[Callable[[], list[Reply]]]:
    """Make calls while the block goes on; what it gets waits for the replies."""
    with ThreadPoolExecutor(1) as thread:
        replies = thread.submit(at_once, calls)
        yield lambda: replies.result(PATIENCE_SECONDS)


def history(server: Listener, user: str = "ann") -> list[dict[str, Any]]:
    """Return the whole history of a user, newest first, page by page."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = get(server, f"/history/{user}?limit=100{cursor}").json
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"


def raw(server: Listener, sent: bytes) -> Reply:
    """Send bytes as they are, and read one response, whatever it is."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS) as line:
        line.sendall(sent)
        response = http.client.HTTPResponse(line, method=sent.partition(b" ")[0].decode("latin-1"))
        with response:
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Reply(status=response.status, headers=headers, body=response.read())


async def _all_at_once(calls: Sequence[Call]) -> list[Reply]:
    # All connections stand before the first byte is sent.
    lines = await asyncio.gather(*(_connect(call) for call in calls))
    return await asyncio.gather(
        *(_exchange(call, *line) for call, line in zip(calls, lines, strict=True))
    )


async def _connect(call: Call) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", call.port)


async def _exchange(call: Call, line: asyncio.StreamReader, out: asyncio.StreamWriter) -> Reply:
    started = time.monotonic()
    try:
        out.write(call.sent())
        received = await line.read()
    except ConnectionError:
        received = b""
    finally:
        out.transport.abort()
    return _read(received, time.monotonic() - started)


def _read(received: bytes, seconds: float) -> Reply:
    if not received:
        return Reply(status=0, seconds=seconds)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Reply(
        status=int(first.split()[1]),
        headers={name.lower(): value.strip() for name, _, value in pairs},
        body=body,
        seconds=seconds,
    )
