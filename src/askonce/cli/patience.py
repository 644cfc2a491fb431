"""How long a client may take to send a request, and how long its head may be.

uvicorn closes connections that are idle after a response. One on which nothing is ever sent, or a
byte now and then, it would keep for ever, and as many headers as come.
"""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# A body of a megabyte within this is 17 kB a second.
REQUEST_SECONDS = 60.0
MOST_HEAD_BYTES = 64 * 1024
_TITLES = {
    408: ("Request Timeout", "request-timeout", "The request did not come in time"),
    431: ("Request Header Fields Too Large", "headers-too-large", "The headers are too large"),
}


class PatientProtocol(HttpToolsProtocol):
    """One connection. Who is slower, or says more before the body, is told so and cut off."""

    request_seconds = REQUEST_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = True
        self._start_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            # Also what the parser holds back until it is complete.
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(431)
        if self._timer is None and not self._is_answering():
            self._start_waiting()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes, self._is_in_head = 0, True
        if self._timer is None:
            self._start_waiting()

    def on_headers_complete(self) -> None:
        if _size(self.headers) > MOST_HEAD_BYTES:
            # Ends in send_400_response: a callback of the parser cannot just stop it.
            message = "too many headers"
            raise ValueError(message)
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        # From here on it is the application that takes its time.
        self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed, or what `on_headers_complete` would not take."""
        if self._is_in_head and self.headers and _size(self.headers) > MOST_HEAD_BYTES:
            self._refuse(431)
        else:
            super().send_400_response(msg)

    def _start_waiting(self) -> None:
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(self.request_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_in_head and self._is_answering():
            # The next request has begun before the last one was answered.
            self._start_waiting()
        else:
            self._refuse(408)

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _refuse(self, status: int) -> None:
        reason, kind, title = _TITLES[status]
        if not (self._is_answering() and self.cycle.response_started):
            body = json.dumps({"type": kind, "title": title, "status": status, "detail": title})
            head = (
                f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/problem+json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write((head + body).encode())
        self._stop_waiting()
        self.transport.close()


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
