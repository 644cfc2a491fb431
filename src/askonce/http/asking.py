"""Asks a question for a request, however the request was read."""

import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from fastapi import Request as Incoming

from askonce.core.clock import Clock
from askonce.core.errors import DatabaseUnavailableError
from askonce.core.landings import Asked, Boarded, Way
from askonce.core.limits import Subject
from askonce.core.requests import Request
from askonce.http.arrivals import Arrival, Arrivals
from askonce.http.middleware import Headers
from askonce.http.quotas import DOCUMENTED
from askonce.services.ask_once import AskOnce
from askonce.services.giving import Recalled
from askonce.telemetry import requests, traces

T = TypeVar("T")

ANALYZE = "/analyze/{user_id}"
# Longer than the database itself waits for locks and statements.
_LOOK_UP_SECONDS = 15.0

_FORWARDED = {
    # A summary that stands in its session has no time at which it expires.
    Way.HIT: b"askonce; hit",
    Way.MISS: b"askonce; fwd=uri-miss",
    Way.COLLAPSED: b"askonce; fwd=uri-miss; collapsed",
    Way.BYPASS: b"askonce; fwd=request",
}


_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "description": (
        "Makes repeats of this request safe for 24 hours: they are answered with the very"
        " same body and `Idempotent-Replayed: true`"
    ),
}
_CACHE_CONTROL: dict[str, Any] = {
    "name": "Cache-Control",
    "in": "header",
    "schema": {"type": "string"},
    "description": (
        "`no-cache`: ask anew and replace the entry; `no-store`: neither read nor write"
        " the cache; `max-age=N`: accept an entry younger than N seconds;"
        " `only-if-cached`: an entry or 504"
    ),
}
KEY_PARAMETER: dict[str, Any] = {"parameters": [_KEY]}
PARAMETERS: dict[str, Any] = {"parameters": [_CACHE_CONTROL, _KEY]}
HEADERS: dict[str, Any] = {
    "Cache-Status": {
        "description": (
            "Where the answer came from (RFC 9211): `askonce; hit; ttl=86213`,"
            " `askonce; fwd=uri-miss; stored`, `askonce; fwd=uri-miss; collapsed`"
            " or `askonce; fwd=request`"
        ),
        "schema": {"type": "string"},
    },
    "Age": {
        "description": "On a hit: how many seconds ago the answer was stored",
        "schema": {"type": "integer"},
    },
    "Idempotent-Replayed": {
        "description": "`true` where the Idempotency-Key was answered before",
        "schema": {"type": "string"},
    },
    **DOCUMENTED,
}


class Asking:
    """Where the event loop waits for answers. The calls go on when their clients go away."""

    def __init__(self, ask_once: AskOnce, clock: Clock) -> None:
        self._ask_once = ask_once
        self._arrivals = Arrivals()
        self._clock = clock

    async def boarded(self, request: Request, incoming: Incoming) -> Boarded:
        """Return where the answer will come from.

        What is left of the asker's quotas is noted in `incoming`, whatever comes of it.

        Raises:
            DatabaseUnavailableError: the database does not answer; nothing was paid for yet.
            AskonceError: as `AskOnce.board`.
        """
        recalled = await self.recalled(request)
        incoming.scope["state"]["quotas"] = recalled.quotas
        return self._ask_once.board_given(request, recalled)

    async def asked(self, request: Request, recalled: Recalled) -> Asked:
        """Return the answer; raises what went wrong, as `boarded` and `arrived` do."""
        if isinstance(recalled.given, Asked):
            return self._ask_once.counted(recalled.given)
        return await self.arrived(self._ask_once.board_given(request, recalled))

    async def recalled(self, request: Request) -> Recalled:
        """Count a request, and return what can be given without a call.

        Raises:
            DatabaseUnavailableError: the database does not answer.
        """
        started = time.perf_counter()
        asker = request.asker
        arrival: Arrival[Recalled] = Arrival(self._arrivals)
        try:
            with traces.step("recall"):
                self._ask_once.recall_for(arrival, request)
                return await self._arrivals.at(arrival, seconds=_LOOK_UP_SECONDS)
        except TimeoutError:
            raise DatabaseUnavailableError from None
        finally:
            requests.tell(
                {
                    "tenant": asker.tenant,
                    "user": requests.digest(asker.tenant, asker.user_id),
                    "ms_ledger": requests.milliseconds(time.perf_counter() - started),
                }
            )

    async def visited(self, subjects: Sequence[Subject]) -> Recalled:
        """Count a request that asks nothing; raises as `recalled`."""
        try:
            return await self._arrivals.of(
                self._ask_once.visit(*subjects), seconds=_LOOK_UP_SECONDS
            )
        except TimeoutError:
            raise DatabaseUnavailableError from None

    async def arrived(self, boarded: Boarded) -> Asked:
        """Return the answer, once it is there; raises what went wrong on the way."""
        return await self._arrivals.of(boarded.asked)

    def headers(self, asked: Asked) -> Headers:
        """Return the headers that say where an answer came from (RFC 9211)."""
        requests.tell(requests.of_asked(asked))
        if asked.way is Way.REPLAY:
            return [(b"idempotent-replayed", b"true")]
        if asked.stored_at is None or asked.expires_at is None:
            status = _FORWARDED[asked.way] + (b"; stored" if asked.is_kept else b"")
            return [(b"cache-status", status)]
        now = self._clock.now()
        ttl = max(0, int((asked.expires_at - now).total_seconds()))
        age = max(0, int((now - asked.stored_at).total_seconds()))
        return [(b"cache-status", b"askonce; hit; ttl=%d" % ttl), (b"age", b"%d" % age)]

    async def headers_of_stream(self, boarded: Boarded) -> Headers:
        """Return what can be said before a stream begins: of a call, not yet how it will end."""
        if boarded.tape is None:
            return self.headers(await self.arrived(boarded))
        return self.forwarded(boarded.way)

    def forwarded(self, way: Way) -> Headers:
        """Return what can be said of a call before it ends."""
        return [(b"cache-status", _FORWARDED[way])]

    async def of(self, future: "Future[T]") -> T:
        """Return what a future gives, or raise what it raises."""
        return await self._arrivals.of(future)
