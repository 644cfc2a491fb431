"""The short way of a request that asks plainly; all others go on to their route.

Starlette's and FastAPI's way to a handler costs more than a hit does. Whatever is not regular
here (a stream, a header that says more, a body that is wrong) is left to the route untouched, so
that each error has one implementation.
"""

import re
from types import SimpleNamespace

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from askonce.core.access import Caller
from askonce.core.caching import CacheRules
from askonce.core.errors import AskonceError
from askonce.core.questions import Question
from askonce.http import errors
from askonce.http.analyses import PATH, AnalyzeIn
from askonce.http.asking import Asking
from askonce.http.shown import written

_PATH = re.compile(r"/analyze/([A-Za-z0-9._@:+-]{1,128})")
# With one of these a request says more than its body does.
_SPECIAL = frozenset(
    {b"cache-control", b"idempotency-key", b"content-encoding", b"transfer-encoding", b"expect"}
)
_PLAIN_RULES = CacheRules()
_ROUTE = SimpleNamespace(path=PATH)


class FastLane:
    """Answers plain questions itself, in plain ASGI."""

    def __init__(self, app: ASGIApp, *, asking: Asking) -> None:
        self._app = app
        self._asking = asking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        user_id = _user_who_asks_plainly(scope)
        if user_id is None:
            await self._app(scope, receive, send)
            return
        message = await receive()
        question = self._question(message)
        if question is None:
            await self._app(scope, _again(message, receive), send)
            return
        scope["route"] = _ROUTE
        try:
            boarded = await self._asking.boarded(Caller(), user_id, question, rules=_PLAIN_RULES)
            asked = await self._asking.asked(boarded)
        except AskonceError as error:
            problem = errors.of_error(error, scope["state"]["request_id"])
            await problem(scope, receive, send)
            return
        body = written(asked.analysis)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            *(
                (name.lower().encode(), value.encode())
                for name, value in self._asking.headers(asked).items()
            ),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _question(self, message: Message) -> Question | None:
        """Return what a whole, valid body asks; None for any other."""
        if message["type"] != "http.request" or message.get("more_body"):
            return None
        try:
            body = AnalyzeIn.model_validate_json(message["body"])
            return self._asking.analyses.question(body.draft())
        except (ValidationError, AskonceError):
            return None


def _user_who_asks_plainly(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    match = _PATH.fullmatch(scope["path"])
    if match is None:
        return None
    is_json = False
    for name, value in scope["headers"]:
        if name in _SPECIAL or (name == b"accept" and b"event-stream" in value.lower()):
            return None
        if name == b"content-type":
            is_json = value == b"application/json"
    return match[1] if is_json else None


def _again(message: Message, receive: Receive) -> Receive:
    """Return a `receive` that gives a message that was taken already once more."""
    taken = [message]

    async def receive_again() -> Message:
        return taken.pop() if taken else await receive()

    return receive_again
