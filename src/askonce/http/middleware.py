"""What holds for every request: an id, a bounded body, an answer even when we fail."""

import re
import time
from collections.abc import Callable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from askonce.core.errors import NotReadyError, TooLargeError
from askonce.http import errors, quotas
from askonce.services.door import Door
from askonce.telemetry import log, requests, traces
from askonce.telemetry.meters import UNMETERED, Meters
from askonce.telemetry.spans import Span

MAX_BODY_BYTES = 1024 * 1024
# What begins no work that would have to be finished: a process that ends still answers it.
_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# As OWASP's cheat sheet on REST security has it; TLS, and so HSTS, is the matter of a proxy.
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Unless the route says something else.
_ELSE = (
    (b"cache-control", b"private, no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

Headers = Sequence[tuple[bytes, bytes]]


class AnswerCutError(Exception):
    """An answer that had begun was not finished; the log says why under its request id."""


class RequestEdge:
    """What every request passes, in plain ASGI: BaseHTTPMiddleware costs half a millisecond."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        new_id: Callable[[], str],
        door: Door,
        meters: Meters = UNMETERED,
    ) -> None:
        self._meters = meters
        self.app = app
        self._new_id = new_id
        self.door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with self.door, traces.serving(scope["method"], scope["headers"]) as span:
            await self._serve(scope, receive, send, span)

    def request_id(self, headers: Headers) -> str:
        """Return the id that the client gave this request where it is sane, else a new one."""
        for name, value in headers:
            if name == b"x-request-id":
                return value.decode() if _SANE_ID.fullmatch(value) else self._new_id()
        return self._new_id()

    def marked(self, headers: Headers, request_id: str) -> Headers:
        """Return the headers of an answer with those that every answer has."""
        marked = [*headers, (b"x-request-id", request_id.encode()), *_ALWAYS]
        names = [name for name, _ in headers]
        marked += [header for header in _ELSE if header[0] not in names]
        if not self.door.is_open():
            # Whoever keeps a connection to this process shall find another one.
            marked.append((b"connection", b"close"))
        return marked

    def note(
        self,
        *,
        method: str,
        route: str | None,
        status: int,
        request_id: str,
        started: float,
        facts: requests.Facts,
    ) -> None:
        """Log and count an answer; `started` is what time.perf_counter() gave at its beginning."""
        seconds = time.perf_counter() - started
        self._meters.request_served(method, route, status, seconds)
        trace_id = traces.current_id()
        if trace_id is not None:
            facts["trace_id"] = trace_id
        log.info_often(
            "request_served",
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            ms=requests.milliseconds(seconds),
            **facts,
        )

    async def _serve(self, scope: Scope, receive: Receive, send: Send, span: Span) -> None:
        started = time.perf_counter()
        request_id = self.request_id(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        facts = requests.begin()
        status = 0
        is_over = False

        async def send_marked(message: Message) -> None:
            nonlocal status, is_over
            if message["type"] == "http.response.start":
                status = message["status"]
                left = quotas.headers(scope["state"].get("quotas", ()))
                message["headers"] = self.marked([*message["headers"], *left], request_id)
            else:
                is_over = not message.get("more_body", False)
            await send(message)

        try:
            if not self.door.is_open() and scope["method"] not in _HARMLESS:
                await errors.of_error(NotReadyError(), request_id)(scope, receive, send_marked)
                return
            if _declares_too_much(scope["headers"]):
                await errors.of_error(TooLargeError(), request_id)(scope, receive, send_marked)
                return
            await self.app(scope, _bounded(receive), send_marked)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told in our own words
            log.error("request_crashed", request_id=request_id, error=type(error).__name__)
            if status and not is_over:
                # The connection must break, or half an answer would look like a whole one. Not by
                # the error itself, which the server logs: a driver's own words may quote values.
                raise AnswerCutError from None
            if not status:
                await errors.written(errors.INTERNAL, request_id)(scope, receive, send_marked)
        finally:
            path = getattr(scope.get("route"), "path", None)
            self.note(
                method=scope["method"],
                route=path,
                status=status,
                request_id=request_id,
                started=started,
                facts=facts,
            )
            span.answer(status, path)


def _declares_too_much(headers: Headers) -> bool:
    return any(
        name == b"content-length" and value.isdigit() and int(value[:20]) > MAX_BODY_BYTES
        for name, value in headers
    )


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
