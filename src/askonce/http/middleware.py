"""What holds for every request: an id, a bounded body, an answer even when we fail."""

import re
import time
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from askonce.core.errors import NotReadyError, TooLargeError
from askonce.http import errors
from askonce.services.door import Door
from askonce.telemetry import log

MAX_BODY_BYTES = 1024 * 1024
# What begins no work that would have to be finished: a process that ends still answers it.
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestEdge:
    """The outermost layer, in plain ASGI: BaseHTTPMiddleware costs half a millisecond."""

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], str], door: Door) -> None:
        self._app = app
        self._new_id = new_id
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._door.entered():
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        headers = Headers(scope=scope)
        request_id = self._request_id(headers)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers_out = MutableHeaders(scope=message)
                _mark(headers_out, request_id)
                if not self._door.is_open():
                    # Whoever keeps a connection to this process shall find another one.
                    headers_out["Connection"] = "close"
            await send(message)

        try:
            if not self._door.is_open() and scope["method"] not in _HARMLESS:
                await errors.of_error(NotReadyError(), request_id)(scope, receive, send_marked)
                return
            if _declares_too_much(headers):
                await errors.of_error(TooLargeError(), request_id)(scope, receive, send_marked)
                return
            await self._app(scope, _bounded(receive), send_marked)
        except Exception as error:
            log.error("request_crashed", request_id=request_id, error=type(error).__name__)
            if status:
                raise
            await errors.written(errors.INTERNAL, request_id)(scope, receive, send_marked)
        finally:
            route = scope.get("route")
            log.info(
                "request_served",
                request_id=request_id,
                method=scope["method"],
                route=getattr(route, "path", None),
                status=status,
                ms=round((time.perf_counter() - started) * 1000, 1),
            )

    def _request_id(self, headers: Headers) -> str:
        given = headers.get("x-request-id", "")
        return given if _SANE_ID.fullmatch(given) else self._new_id()


def _mark(headers: MutableHeaders, request_id: str) -> None:
    headers["X-Request-ID"] = request_id
    headers["X-Content-Type-Options"] = "nosniff"
    headers.setdefault("Cache-Control", "private, no-store")


def _declares_too_much(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    return length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES


def _bounded(receive: Receive) -> Receive:
    """Count the body as it arrives: a chunked one declares no length."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY_BYTES:
            raise TooLargeError
        return message

    return receive_bounded
