"""Asks a question for a request, however the request was read."""

from collections.abc import Mapping
from datetime import datetime

from askonce.core.access import Caller
from askonce.core.caching import CacheRules
from askonce.core.clock import Clock
from askonce.core.errors import DatabaseUnavailableError
from askonce.core.idempotency import IdempotencyKey
from askonce.core.landings import Asked, Boarded, Way
from askonce.core.questions import Question
from askonce.http.arrivals import Arrivals
from askonce.services.analyses import Analyses

# Longer than the database itself waits for locks and statements.
_LOOK_UP_SECONDS = 15.0

_FORWARDED = {
    Way.MISS: "askonce; fwd=uri-miss",
    Way.COLLAPSED: "askonce; fwd=uri-miss; collapsed",
    Way.BYPASS: "askonce; fwd=request",
}


class Asking:
    """Where the event loop waits for answers."""

    def __init__(self, analyses: Analyses, clock: Clock) -> None:
        self.analyses = analyses
        self.arrivals = Arrivals()
        self._clock = clock

    async def boarded(
        self,
        caller: Caller,
        user_id: str,
        question: Question,
        *,
        rules: CacheRules,
        key: IdempotencyKey | None = None,
        is_streamed: bool = False,
    ) -> Boarded:
        """Return where the answer will come from; the call goes on when the client goes away.

        Raises:
            DatabaseUnavailableError: the database takes requests and never answers.
            AskonceError: as `Analyses.analyze`.
        """
        boarding = self.analyses.analyze(
            caller, user_id, question, rules=rules, key=key, is_streamed=is_streamed
        )
        try:
            return await self.arrivals.of(boarding, seconds=_LOOK_UP_SECONDS)
        except TimeoutError:
            # Nothing was paid for yet.
            raise DatabaseUnavailableError from None

    async def asked(self, boarded: Boarded) -> Asked:
        """Return the answer; raises what went wrong."""
        return await self.arrivals.of(boarded.asked)

    def headers(self, asked: Asked) -> Mapping[str, str]:
        """Return the headers that say where an answer came from (RFC 9211)."""
        return _headers(asked, self._clock.now())

    async def headers_of_stream(self, boarded: Boarded) -> Mapping[str, str]:
        """Return what can be said before a stream begins: of a call, not yet how it will end."""
        if boarded.tape is None:
            return self.headers(await self.asked(boarded))
        return {"Cache-Status": _FORWARDED[boarded.way]}


def _headers(asked: Asked, now: datetime) -> dict[str, str]:
    if asked.way is Way.REPLAY:
        return {"Idempotent-Replayed": "true"}
    if asked.stored_at is None or asked.expires_at is None:
        return {"Cache-Status": _FORWARDED[asked.way] + ("; stored" if asked.is_kept else "")}
    ttl = max(0, int((asked.expires_at - now).total_seconds()))
    age = max(0, int((now - asked.stored_at).total_seconds()))
    return {"Cache-Status": f"askonce; hit; ttl={ttl}", "Age": str(age)}
