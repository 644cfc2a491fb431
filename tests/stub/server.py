"""The stub provider's HTTP: plays what a behaviour says, down to single bytes and resets."""

import asyncio
import gzip
import json
import socket
import struct
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from tests.stub.batches import Batches
from tests.stub.behaviours import Behaviour, Script
from tests.stub.journal import Journal
from tests.stub.wire_formats import Anthropic, OpenAI, Said, Vendor, as_reply, default_text

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
_MODELS = "/v1/models/"
_SSE = "text/event-stream; charset=utf-8"
_CHUNKED = {"transfer-encoding": "chunked"}
_BACKLOG = 2048
# What errors say, unless they are to echo what was sent.
_WORDS = b"stub secret words"


class StubServer:
    """Speaks to all in one thread: a thousand slow calls are a thousand timers."""

    def __init__(self) -> None:
        self.script = Script()
        self.journal = Journal()
        self.batches = Batches()

    async def listen(self, port: int) -> asyncio.Server:
        """Begin to answer on a port of this machine (a free one for 0)."""
        return await asyncio.start_server(self._serve, "127.0.0.1", port, backlog=_BACKLOG)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Clients that hang up are what tests are about.
        with suppress(OSError, asyncio.IncompleteReadError):
            await Handler(self, reader, writer).serve()
        writer.close()


class Handler:
    """One connection, kept alive until a behaviour breaks it off."""

    def __init__(
        self, server: StubServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._is_over = False

    async def serve(self) -> None:
        while not self._is_over:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.rstrip().split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in lines)
            }
            body = await self._reader.readexactly(int(headers.get("content-length", 0)))
            is_json = "multipart" not in headers.get("content-type", "")
            parsed = json.loads(body or b"null") if is_json else None
            await self._answer_to(first.rpartition(" ")[0], headers, parsed, body)

    async def _answer_to(  # noqa: C901 - one line for each endpoint
        self, asked: str, headers: dict[str, str], body: Any, raw: bytes
    ) -> None:
        method, _, path = asked.partition(" ")
        if asked == "GET /_calls":
            await self._send_json(200, self._server.journal.read())
        elif asked == "POST /_script":
            self._server.script.add(body)
            await self._send_json(200, {})
        elif asked == "POST /_let_go":
            self._server.script.let_go()
            await self._send_json(200, {})
        elif asked == "POST /_reset":
            self._server.script.forget()
            self._server.journal.forget()
            self._server.batches.forget()
            await self._send_json(200, {})
        elif asked == "POST /_finish_batches":
            self._server.batches.finish(self._answer_in_batch)
            await self._send_json(200, {})
        elif asked == "GET /_held":
            await self._send_json(200, self._server.script.held)
        elif asked == "GET /_batches":
            made = self._server.batches.made.values()
            await self._send_json(200, [one.requests for one in made])
        elif method == "POST" and path in VENDORS:
            await self._call(path, headers, body)
        elif "batches" in path or path.startswith("/v1/files"):
            await self._batch(method, path, body, raw)
        elif method == "GET" and path.startswith(_MODELS):
            await self._send_model(path.removeprefix(_MODELS), headers)
        else:
            await self._send_json(404, {"error": {"type": "not_found_error", "message": "no"}})

    async def _batch(self, method: str, path: str, body: Any, raw: bytes) -> None:
        """Take part in the batch endpoints; of a script each request uses up a line."""
        wanted = self._server.script.next_for("")
        if wanted.held == "start":
            await self._server.script.wait_until_let_go()
        if wanted.mode == "reset":
            self._reset()
            return
        if wanted.mode.isdigit():
            await self._send_json(int(wanted.mode), {"error": {"type": "stub", "message": "no"}})
            return
        status, sent = self._server.batches.answer(method, path, body, raw)
        if wanted.held == "end":
            await self._server.script.wait_until_let_go()
        if wanted.mode == "lost":
            self._reset()
            return
        await self._send(status, _JSON, sent, {})

    def _answer_in_batch(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        vendor = VENDORS[path]
        call = self._server.journal.begin(f"{path}/batch", {}, body)
        self._server.journal.end(call)
        question = vendor.question(body)
        wanted = self._server.script.in_words_of(question)
        if wanted.mode.isdigit():
            return int(wanted.mode), vendor.error(int(wanted.mode), "stub")
        said = _said(vendor, body, question, wanted, call["number"])
        return 200, vendor.whole(said, is_failing=wanted.mode == "failed")

    async def _send_model(self, model: str, headers: dict[str, str]) -> None:
        """Tell of a model, which is no call; `wrong` keys and `no-such` models are refused."""
        if "wrong" in headers.get("authorization", "") + headers.get("x-api-key", ""):
            await self._send_json(401, {"error": {"type": "authentication_error", "message": "no"}})
        elif model.startswith("no-such"):
            await self._send_json(404, {"error": {"type": "not_found_error", "message": "no"}})
        else:
            await self._send_json(200, {"id": model, "object": "model", "type": "model"})

    async def _call(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        vendor = VENDORS[path]
        call = self._server.journal.begin(path, headers, body)
        try:
            question = vendor.question(body)
            wanted = self._server.script.next_for(question)
            call["mode"] = wanted.mode
            if wanted.echo:
                key = headers.get("authorization") or headers.get("x-api-key", "")
                wanted = replace(wanted, echo=f"{question} {key}")
            await asyncio.sleep(wanted.slow)
            if wanted.held == "start":
                await self._server.script.wait_until_let_go()
            said = _said(vendor, body, question, wanted, call["number"])
            await self._play(vendor, wanted, said, is_streamed=bool(body.get("stream")))
        finally:
            self._server.journal.end(call)

    async def _play(
        self, vendor: Vendor, wanted: Behaviour, said: Said, *, is_streamed: bool
    ) -> None:
        instead = _instead(vendor, wanted)
        if wanted.mode == "hang":
            await asyncio.sleep(60)
        elif wanted.mode == "reset":
            self._reset()
        elif instead is not None:
            status, media_type, sent, headers = instead
            echo = json.dumps(wanted.echo)[1:-1].encode() or _WORDS
            await self._send(status, media_type, sent.replace(_WORDS, echo), headers)
        elif is_streamed and wanted.mode == "squeezed":
            await self._squeeze(vendor, said)
        elif is_streamed:
            await self._stream(vendor, wanted, said)
        else:
            await self._answer(vendor, wanted, said)

    async def _answer(self, vendor: Vendor, wanted: Behaviour, said: Said) -> None:
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
                await self._write(head + body[: len(body) // 2])
                self._reset()
            case "cut-politely":
                await self._write(head + body[: len(body) // 2])
                self._is_over = True
            case "trickle":
                await self._write(head)
                await self._trickle(body, wanted.every)
            case "trickle-head":
                await self._trickle(head + body, wanted.every)
            case "endless":
                head = self._head(200, _JSON, _CHUNKED)
                await self._repeat(head + _chunk(b'{"id": "'), _chunk(b"x" * 4096))
            case _:
                await self._write(head + body)
        self._is_over |= wanted.mode == "hang-up"

    async def _stream(self, vendor: Vendor, wanted: Behaviour, said: Said) -> None:
        head = self._head(200, _SSE, {**wanted.headers, **_CHUNKED})
        is_failing = wanted.mode == "failed"
        events = [_chunk(event) for event in vendor.events(said, is_failing=is_failing)]
        middle = len(events) // 2
        match wanted.mode:
            case "cut":
                await self._write(head + b"".join(events[:middle]))
                await asyncio.sleep(0.05)
                self._reset()
            case "cut-politely":
                await self._write(head + b"".join(events[:middle]) + _chunk(b""))
            case "malformed" | "error-event":
                half = b'event: message_delta\ndata: {"type": "mess\n\n'
                broken = _chunk(half if wanted.mode == "malformed" else vendor.broken())
                await self._write(head + b"".join(events[:middle]) + broken + _chunk(b""))
            case "pings":
                await self._write(head + b"".join(events[:middle]))
                end = time.monotonic() + 60
                while time.monotonic() < end:
                    await self._write(_chunk(b'event: ping\ndata: {"type": "ping"}\n\n'))
                    await asyncio.sleep(wanted.every)
                self._is_over = True
            case "trickle":
                await self._write(head)
                await self._trickle(b"".join(events), wanted.every)
            case "trickle-head":
                await self._trickle(head, wanted.every)
            case "endless":
                await self._repeat(head + b"".join(events[:middle]), events[middle - 1])
            case _:
                await self._write(head)
                await self._send_each([*events, _chunk(b"")], is_held=wanted.held == "middle")
        self._is_over |= wanted.mode == "hang-up"

    async def _squeeze(self, vendor: Vendor, said: Said) -> None:
        events = gzip.compress(b"".join(vendor.events(said, is_failing=False)))
        head = self._head(200, _SSE, {**_CHUNKED, "content-encoding": "gzip"})
        await self._write(head + _chunk(events) + _chunk(b""))

    async def _send_each(self, events: list[bytes], *, is_held: bool) -> None:
        for number, event in enumerate(events):
            if is_held and number == len(events) // 2:
                await self._server.script.wait_until_let_go()
            await self._write(event)

    async def _send_json(self, status: int, body: Any) -> None:
        await self._send(status, _JSON, json.dumps(body).encode(), {})

    async def _send(self, status: int, kind: str, body: bytes, headers: dict[str, str]) -> None:
        head = self._head(status, kind, {**headers, "content-length": str(len(body))})
        await self._write(head + body)

    def _head(self, status: int, kind: str, headers: dict[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {status} Stub", f"content-type: {kind}", "request-id: req_stub"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def _trickle(self, data: bytes, every: float) -> None:
        for byte in data:
            await self._write(bytes([byte]))
            await asyncio.sleep(every)

    async def _repeat(self, start: bytes, piece: bytes) -> None:
        """Go on until the client has had enough."""
        await self._write(start)
        while True:
            await self._write(piece)

    async def _write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def _reset(self) -> None:
        """Break the connection off so that the client sees ECONNRESET."""
        self._is_over = True
        line = self._writer.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


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
    text = _text(vendor, body, question, wanted, number)
    tokens_out = max(1, len(text) // 4)
    if wanted.mode in {"length", "full"}:
        tokens_out = vendor.limit(body)
    return Said(
        number=number,
        model=str(body.get("model")),
        text=text,
        end=_ENDS.get(wanted.mode, "stop"),
        tokens_in=max(1, len(vendor.prompt(body)) // 4),
        tokens_cached=wanted.cached,
        tokens_out=tokens_out,
    )


def _text(
    vendor: Vendor, body: dict[str, Any], question: str, wanted: Behaviour, number: int
) -> str:
    if wanted.text or wanted.mode in _TEXTS:
        return wanted.text or _TEXTS[wanted.mode]
    text = wanted.say or default_text(question, number)
    schema = vendor.schema(body)
    if schema is None or set(schema.get("properties", ())) != {"content", "confidence"}:
        return text
    reply = as_reply(text)
    return reply[: len(reply) // 2] if wanted.mode in {"length", "full"} else reply


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
