"""Sends one request to one replica, and writes down what came of it and when."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

from tests.chaos.evidence import Removal, Request
from tests.chaos.fleet import Running
from tests.chaos.stopwatch import Stopwatch

# Longer than any deadline: who waits longer than this has been forgotten, or its replica is frozen.
PATIENCE_SECONDS: Final = 10.0
_SSE: Final = "text/event-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request to be made."""

    user: str
    text: str
    rules: str = ""
    key: str | None = None
    is_streamed: bool = False

    def headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json", "connection": "close"}
        if self.rules:
            headers["cache-control"] = self.rules
        if self.key is not None:
            headers["idempotency-key"] = self.key
        if self.is_streamed:
            headers["accept"] = _SSE
        return headers


@dataclass(slots=True)
class Records:
    """What clients saw. Lists, because appending to one is safe in any thread."""

    watch: Stopwatch
    requests: list[Request] = field(default_factory=list)
    removals: list[Removal] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def ask(
        self, replica: Running, wanted: Wanted, *, leaves_after: float | None = None
    ) -> Request | None:
        """Make a request; None, and no record, where it cannot have reached the replica.

        Whoever leaves does so with the first byte, or after `leaves_after` seconds without one.
        """
        asked = Request(
            number=next(self._numbers),
            user=wanted.user,
            text=wanted.text,
            replica=replica.name,
            sent=self.watch.now(),
            answered=None,
            status=0,
            rules=wanted.rules,
            key=wanted.key,
            is_streamed=wanted.is_streamed,
            has_left=leaves_after is not None,
        )
        with _connected(replica.port, leaves_after) as connection:
            if connection is None:
                return None
            body = json.dumps({"text": wanted.text})
            path = f"/analyze/{wanted.user}"
            asked = _answered(asked, connection, path, body, wanted.headers())
        if asked.status:
            asked = replace(asked, answered=self.watch.now())
        self.requests.append(asked)
        return asked

    def remove(self, replica: Running, analysis_id: int) -> Removal | None:
        """Delete an analysis; None, and no record, where that cannot have reached the replica."""
        removal = Removal(
            analysis_id=analysis_id,
            replica=replica.name,
            sent=self.watch.now(),
            answered=None,
            status=0,
        )
        with _connected(replica.port, None) as connection:
            if connection is None:
                return None
            try:
                connection.request("DELETE", f"/history/{analysis_id}")
                status = connection.getresponse().status
                removal = replace(removal, status=status, answered=self.watch.now())
            except (OSError, http.client.HTTPException):
                pass
        self.removals.append(removal)
        return removal


@contextmanager
def _connected(
    port: int, leaves_after: float | None
) -> Iterator[http.client.HTTPConnection | None]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.connect()
        if leaves_after is not None:
            connection.sock.settimeout(leaves_after)
    except OSError:
        connection.close()
        yield None
        return
    try:
        yield connection
    finally:
        connection.close()


def _answered(
    asked: Request,
    connection: http.client.HTTPConnection,
    path: str,
    body: str,
    headers: Mapping[str, str],
) -> Request:
    try:
        connection.request("POST", path, body, headers)
        with connection.getresponse() as response:
            if asked.has_left:
                response.read1(1)
                return asked
            got = response.read().decode()
            shown = {name.lower(): value for name, value in response.getheaders()}
            status = response.status
    except (OSError, http.client.HTTPException):
        return asked
    asked = replace(asked, headers=shown)
    if shown.get("content-type", "").startswith(_SSE):
        return _streamed(asked, got)
    return replace(asked, status=status, body=got)


def _streamed(asked: Request, got: str) -> Request:
    """Read a stream that has ended: with `done`, with `error`, or broken off."""
    events = [_event(block) for block in got.split("\n\n") if block.startswith("event: ")]
    deltas = "".join(json.loads(data)["text"] for name, data in events if name == "delta")
    if not events or events[-1][0] == "delta" or not got.endswith("\n\n"):
        return replace(asked, deltas=deltas)
    name, data = events[-1]
    status = 200 if name == "done" else int(json.loads(data)["status"])
    return replace(asked, status=status, body=data, deltas=deltas)


def _event(block: str) -> tuple[str, str]:
    first, _, second = block.partition("\n")
    return first.removeprefix("event: "), second.removeprefix("data: ")
