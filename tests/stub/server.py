"""The stub provider's HTTP: plays what a behaviour says, down to single bytes and resets."""

import gzip
import json
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.stub.behaviours import Behaviour, Script
from tests.stub.journal import Journal
from tests.stub.wire_formats import Anthropic, OpenAI, Said, Vendor, default_text

VENDORS: dict[str, Vendor] = {"/v1/messages": Anthropic(), "/v1/responses": OpenAI()}
_ENDS = {"length": "length", "refusal": "refusal", "filtered": "filtered", "tool": "tool"}
_TEXTS = {
    "empty": "",
    "blank": " \n",
    "refusal": "I cannot help with that.",
    "nul": "before\0after",
    "surrogate": "before\ud800after",
}
_JSON = "application/json"
_SSE = "text/event-stream; charset=utf-8"
_CHUNKED = {"transfer-encoding": "chunked"}


class StubServer(ThreadingHTTPServer):
    """Hundreds of calls at once: a deep backlog, and threads with small stacks."""

    daemon_threads = True
    request_queue_size = 2048

    def __init__(self, port: int) -> None:
        threading.stack_size(256 * 1024)
        super().__init__(("127.0.0.1", port), Handler)
        self.script = Script()
        self.journal = Journal()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients that hang up are what tests are about."""


class Handler(BaseHTTPRequestHandler):
    server: StubServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        if self.path == "/_calls":
            self._send_json(200, self.server.journal.read())
        else:
            self._send_json(404, {"error": {"type": "not_found_error", "message": "no"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"null")
        if self.path == "/_script":
            self.server.script.add(body)
            self._send_json(200, {})
        elif self.path == "/_reset":
            self.server.script.forget()
            self.server.journal.forget()
            self._send_json(200, {})
        elif self.path in VENDORS:
            self._call(VENDORS[self.path], body)
        else:
            self._send_json(404, {"error": {"type": "not_found_error", "message": "no"}})

    def _call(self, vendor: Vendor, body: dict[str, Any]) -> None:
        call = self.server.journal.begin(self.path, self.headers, body)
        try:
            question = vendor.question(body)
            wanted = self.server.script.next_for(question)
            call["mode"] = wanted.mode
            time.sleep(wanted.slow)
            said = _said(vendor, body, question, wanted, call["number"])
            self._play(vendor, wanted, said, is_streamed=bool(body.get("stream")))
        except OSError:
            self.close_connection = True
        finally:
            self.server.journal.end(call)

    def _play(self, vendor: Vendor, wanted: Behaviour, said: Said, *, is_streamed: bool) -> None:
        instead = _instead(vendor, wanted)
        if wanted.mode == "hang":
            time.sleep(60)
        elif wanted.mode == "reset":
            self._reset()
        elif instead is not None:
            self._send(*instead)
        elif is_streamed and wanted.mode == "squeezed":
            self._squeeze(vendor, said)
        elif is_streamed:
            self._stream(vendor, wanted, said)
        else:
            self._answer(vendor, wanted, said)

    def _answer(self, vendor: Vendor, wanted: Behaviour, said: Said) -> None:
        answer = vendor.whole(said, is_failing=wanted.mode == "failed")
        body = json.dumps(answer).encode()
        if wanted.mode == "malformed":
            body = body[: len(body) // 2]
        if wanted.mode == "no-usage":
            body = json.dumps({**answer, "usage": None}).encode()
        headers = dict(wanted.headers)
        if wanted.mode == "squeezed":
            body = gzip.compress(body + b" " * 10_000_000)
            headers["content-encoding"] = "gzip"
        head = self._head(200, _JSON, {**headers, "content-length": str(len(body))})
        match wanted.mode:
            case "cut":
                self.wfile.write(head + body[: len(body) // 2])
                self._reset()
            case "cut-politely":
                self.wfile.write(head + body[: len(body) // 2])
                self.close_connection = True
            case "trickle":
                self.wfile.write(head)
                self._trickle(body, wanted.every)
            case "trickle-head":
                self._trickle(head + body, wanted.every)
            case "endless":
                head = self._head(200, _JSON, _CHUNKED)
                self._repeat(head + _chunk(b'{"id": "'), _chunk(b"x" * 4096))
            case _:
                self.wfile.write(head + body)
        self.close_connection |= wanted.mode == "hang-up"

    def _stream(self, vendor: Vendor, wanted: Behaviour, said: Said) -> None:
        head = self._head(200, _SSE, {**wanted.headers, **_CHUNKED})
        is_failing = wanted.mode == "failed"
        events = [_chunk(event) for event in vendor.events(said, is_failing=is_failing)]
        middle = len(events) // 2
        match wanted.mode:
            case "cut":
                self.wfile.write(head + b"".join(events[:middle]))
                time.sleep(0.05)
                self._reset()
            case "cut-politely":
                self.wfile.write(head + b"".join(events[:middle]) + _chunk(b""))
            case "malformed" | "error-event":
                half = b'event: message_delta\ndata: {"type": "mess\n\n'
                broken = _chunk(half if wanted.mode == "malformed" else vendor.broken())
                self.wfile.write(head + b"".join(events[:middle]) + broken + _chunk(b""))
            case "pings":
                self.wfile.write(head + b"".join(events[:middle]))
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    self.wfile.write(_chunk(b'event: ping\ndata: {"type": "ping"}\n\n'))
                    time.sleep(wanted.every)
                self.close_connection = True
            case "trickle":
                self.wfile.write(head)
                self._trickle(b"".join(events), wanted.every)
            case "trickle-head":
                self._trickle(head, wanted.every)
            case "endless":
                self._repeat(head + b"".join(events[:middle]), events[middle - 1])
            case _:
                self.wfile.write(head)
                for event in events:
                    self.wfile.write(event)
                self.wfile.write(_chunk(b""))
        self.close_connection |= wanted.mode == "hang-up"

    def _squeeze(self, vendor: Vendor, said: Said) -> None:
        events = gzip.compress(b"".join(vendor.events(said, is_failing=False)))
        head = self._head(200, _SSE, {**_CHUNKED, "content-encoding": "gzip"})
        self.wfile.write(head + _chunk(events) + _chunk(b""))

    def _send_json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, _JSON, json.dumps(body).encode(), headers or {})

    def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
        self.wfile.write(
            self._head(status, kind, {**headers, "content-length": str(len(body))}) + body
        )

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} Stub", f"content-type: {kind}", "request-id: req_stub"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _trickle(self, data: bytes, every: float) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            time.sleep(every)

    def _repeat(self, start: bytes, piece: bytes) -> None:
        """Go on until the client has had enough."""
        self.wfile.write(start)
        while True:
            self.wfile.write(piece)

    def _reset(self) -> None:
        """Break the connection off so that the client sees ECONNRESET."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _instead(vendor: Vendor, wanted: Behaviour) -> tuple[int, str, bytes, dict[str, str]] | None:
    """Return status, type, body and headers of what is sent instead of an answer, if so."""
    mode, headers = wanted.mode, wanted.headers
    if mode == "html":
        return 200, "text/html", b"<html>Welcome to the proxy</html>", headers
    bodies: dict[str, tuple[int, Any]] = {
        "redirect": (307, {}),
        "shapeless": (200, {}),
        "list": (200, [1, 2]),
        "quota": (429, vendor.error(429, "quota")),
        "too-long": (400, vendor.error(400, "too-long")),
    }
    if mode.isdigit():
        bodies[mode] = (int(mode), vendor.error(int(mode), "stub"))
    if mode not in bodies:
        return None
    status, body = bodies[mode]
    if mode == "redirect":
        headers = {"location": "http://127.0.0.1:9/stolen", **headers}
    return status, _JSON, json.dumps(body).encode(), headers


def _said(
    vendor: Vendor, body: dict[str, Any], question: str, wanted: Behaviour, number: int
) -> Said:
    text = wanted.text or _TEXTS.get(wanted.mode, default_text(question, number))
    tokens_out = max(1, len(text) // 4)
    if wanted.mode in {"length", "full"}:
        tokens_out = vendor.limit(body)
    return Said(
        number=number,
        model=str(body.get("model")),
        text=text,
        end=_ENDS.get(wanted.mode, "stop"),
        tokens_in=max(1, len(question) // 4),
        tokens_cached=wanted.cached,
        tokens_out=tokens_out,
    )


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
