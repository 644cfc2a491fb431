"""Asks a question for a request, however the request was read."""

from askonce.core.clock import Clock
from askonce.core.errors import DatabaseUnavailableError
from askonce.core.landings import Asked, Boarded, Way
from askonce.core.requests import Request
from askonce.http.arrivals import Arrivals
from askonce.http.middleware import Headers
from askonce.services.ask_once import AskOnce
from askonce.services.giving import Given

# Longer than the database itself waits for locks and statements.
_LOOK_UP_SECONDS = 15.0

_FORWARDED = {
    Way.MISS: b"askonce; fwd=uri-miss",
    Way.COLLAPSED: b"askonce; fwd=uri-miss; collapsed",
    Way.BYPASS: b"askonce; fwd=request",
}


class Asking:
    """Where the event loop waits for answers. The calls go on when their clients go away."""

    def __init__(self, ask_once: AskOnce, clock: Clock) -> None:
        self._ask_once = ask_once
        self._arrivals = Arrivals()
        self._clock = clock

    async def boarded(self, request: Request) -> Boarded:
        """Return where the answer will come from.

        Raises:
            DatabaseUnavailableError: the database does not answer; nothing was paid for yet.
            AskonceError: as `AskOnce.board`.
        """
        return self._ask_once.board_given(request, await self._recalled(request))

    async def asked(self, request: Request) -> Asked:
        """Return the answer; raises what went wrong, as `boarded` and `arrived` do."""
        given = await self._recalled(request)
        if isinstance(given, Asked):
            return given
        return await self.arrived(self._ask_once.board_given(request, given))

    async def arrived(self, boarded: Boarded) -> Asked:
        """Return the answer, once it is there; raises what went wrong on the way."""
        return await self._arrivals.of(boarded.asked)

    def headers(self, asked: Asked) -> Headers:
        """Return the headers that say where an answer came from (RFC 9211)."""
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
        return [(b"cache-status", _FORWARDED[boarded.way])]

    async def _recalled(self, request: Request) -> Given:
        try:
            return await self._arrivals.of(self._ask_once.recall(request), seconds=_LOOK_UP_SECONDS)
        except TimeoutError:
            raise DatabaseUnavailableError from None
