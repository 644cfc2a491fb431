"""What holds for every request: an id, a bounded body, an answer even when we fail."""

import re
import time
from collections.abc import Callable, Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from askonce.core.errors import NotReadyError, TooLargeError
from askonce.http import errors
from askonce.services.door import Door
from askonce.telemetry import log

MAX_BODY_BYTES = 1024 * 1024
# What begins no work that would have to be finished: a process that ends still answers it.
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_ALWAYS = ((b"x-content-type-options", b"nosniff"),)
_PRIVATE = (b"cache-control", b"private, no-store")

Headers = Sequence[tuple[bytes, bytes]]


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
        headers = dict(reversed(scope["headers"]))
        request_id = self._request_id(headers.get(b"x-request-id", b""))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        is_over = False

        async def send_marked(message: Message) -> None:
            nonlocal status, is_over
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._marked(message["headers"], request_id)
            else:
                is_over = not message.get("more_body", False)
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
            if status and not is_over:
                # The connection must break, or half an answer would look like a whole one.
                raise
            if not status:
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

    def _request_id(self, given: bytes) -> str:
        return given.decode() if _SANE_ID.fullmatch(given) else self._new_id()

    def _marked(self, headers: Headers, request_id: str) -> Headers:
        marked = [*headers, (b"x-request-id", request_id.encode()), *_ALWAYS]
        if all(name != b"cache-control" for name, _ in headers):
            marked.append(_PRIVATE)
        if not self._door.is_open():
            # Whoever keeps a connection to this process shall find another one.
            marked.append((b"connection", b"close"))
        return marked


def _declares_too_much(headers: Mapping[bytes, bytes]) -> bool:
    length = headers.get(b"content-length", b"0")
    return length.isdigit() and int(length[:20]) > MAX_BODY_BYTES


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
