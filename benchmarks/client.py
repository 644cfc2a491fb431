"""An asynchronous HTTP client that knows what the soak needs: keep-alive, bodies, streams."""

import asyncio
import json
from typing import Any

from benchmarks.keys import KEY


class Client:
    """One connection to a server of this machine, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._line: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(
        self, method: str, path: str, body: Any = None, *, accept: str = "application/json"
    ) -> tuple[int, bytes]:
        """Return status and body of the answer, a stream's when it has ended."""
        reader = await self.say(method, path, body, accept=accept)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in head:
            return status, await _chunks(reader)
        _, _, length = head.partition(b"content-length:")
        size = int(length.partition(b"\r\n")[0] or 0)
        return status, await reader.readexactly(size)

    async def say(
        self, method: str, path: str, body: Any = None, *, accept: str = "application/json"
    ) -> asyncio.StreamReader:
        """Send a request, and return where its answer will come from."""
        if self._line is None:
            self._line = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._line
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n"
            f"authorization: Bearer {KEY}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        return reader

    def leave(self) -> None:
        """Break the connection off; the next request opens another."""
        if self._line is not None:
            self._line[1].close()
        self._line = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    chunks = []
    while size := int(await reader.readline(), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(chunks)
