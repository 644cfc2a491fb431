"""The short way of a request that asks plainly; all others go on to the edge and their route.

The framework's way to a handler costs more than a hit does. Whatever is not regular here (a stream,
a header that says more, a body that is wrong) is passed on untouched, so that each error has one
implementation.
"""

import re
import time
from functools import lru_cache

from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from askonce.core.access import Asker, Caller
from askonce.core.caching import CacheRules
from askonce.core.errors import AskonceError
from askonce.core.preferences import Wishes
from askonce.core.questions import Question
from askonce.core.questions import Scope as Sharing
from askonce.core.requests import Request
from askonce.http import errors, quotas
from askonce.http.analyses import PATH, AnalyzeIn
from askonce.http.asking import Asking
from askonce.http.authentication import Authentication
from askonce.http.middleware import Headers, RequestEdge
from askonce.http.shown import written
from askonce.services.analyses import Analyses
from askonce.services.preferences import Preferences
from askonce.telemetry import requests, traces

_PATH = re.compile(r"/analyze/([A-Za-z0-9._@:+-]{1,128})")
# With one of these a request says more than its body does.
_SPECIAL = frozenset(
    {b"cache-control", b"idempotency-key", b"content-encoding", b"transfer-encoding", b"expect"}
)
# Six digits: bodies that are clearly within bounds.
_LONGEST_LENGTH = 6
_JSON = ((b"content-type", b"application/json"),)
_PLAIN_RULES = CacheRules()
# Together they bound what is remembered of questions: 8 MB.
_MOST_REMEMBERED = 2048
_LARGEST_REMEMBERED = 4096


class FastLane:
    """The outermost layer: answers plain questions itself, in plain ASGI."""

    def __init__(
        self,
        edge: RequestEdge,
        *,
        authentication: Authentication,
        analyses: Analyses,
        preferences: Preferences,
        asking: Asking,
    ) -> None:
        self.edge = edge
        self._authentication = authentication
        self._preferences = preferences
        self._analyses = analyses
        self._asking = asking
        # Who asks what was asked before does not wait for it to be read again.
        self._remembered = lru_cache(maxsize=_MOST_REMEMBERED)(self._read)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        user_id = _user_who_asks_plainly(scope)
        if user_id is None or not self.edge.door.is_open():
            await self.edge(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = self.edge.request_id(scope["headers"])
        caller = self._caller(scope, user_id, request_id)
        if caller is None:
            await self.edge(scope, receive, send)
            return
        message = await receive()
        request = self._request(caller, user_id, message)
        if request is None:
            await self.edge(scope, _again(message, receive), send)
            return
        with self.edge.door, traces.serving("POST", scope["headers"]) as span:
            status, headers, body, facts = await self._answer(request, request_id)
            start = {"type": "http.response.start", "status": status, "headers": headers}
            await send(start | {"headers": self.edge.marked(headers, request_id)})
            await send({"type": "http.response.body", "body": body})
            self.edge.note(
                method="POST",
                route=PATH,
                status=status,
                request_id=request_id,
                started=started,
                facts=facts,
            )
            span.answer(status, PATH)

    def _caller(self, scope: Scope, user_id: str, request_id: str) -> Caller | None:
        """Return who is asking for a user; None for one who may not."""
        try:
            caller = self._authentication.caller(scope["headers"], request_id)
        except AskonceError:
            return None
        return caller if caller.reaches(user_id) else None

    def _request(self, caller: Caller, user_id: str, message: Message) -> Request | None:
        """Return what a whole, valid body asks; None for any other.

        None too where the user's preferences are not known yet: they must be waited for.
        """
        if message["type"] != "http.request" or message.get("more_body"):
            return None
        preferred = self._preferences.known(caller.tenant, user_id)
        if preferred is None:
            return None
        body = message["body"]
        read = self._remembered if len(body) <= _LARGEST_REMEMBERED else self._read
        asked = read(body, preferred, self._analyses.scope(caller, user_id))
        if asked is None:
            return None
        question, fingerprint = asked
        return Request(
            question=question,
            fingerprint=fingerprint,
            asker=Asker.of(caller, user_id),
            rules=_PLAIN_RULES,
        )

    def _read(
        self, body: bytes, preferred: Wishes, sharing: Sharing
    ) -> tuple[Question, bytes] | None:
        # Each scope remembers for itself: how long reading takes tells nothing to another one.
        try:
            draft = AnalyzeIn.model_validate_json(body).draft()
            question = self._analyses.question(draft, preferred)
        except (ValidationError, AskonceError):
            return None
        return question, question.fingerprint(sharing)

    async def _answer(
        self, request: Request, request_id: str
    ) -> tuple[int, Headers, bytes, requests.Facts]:
        facts = requests.begin()
        left: Headers = ()
        try:
            recalled = await self._asking.recalled(request)
            left = quotas.headers(recalled.quotas)
            asked = await self._asking.asked(request, recalled)
        except Exception as error:  # noqa: BLE001 - one table says what a client sees of it
            problem = errors.of_error(error, request_id)
            headers = [*problem.raw_headers, *left]
            return problem.status_code, headers, bytes(problem.body), facts
        body = written(asked.analysis)
        length = (b"content-length", b"%d" % len(body))
        return 200, [*_JSON, length, *self._asking.headers(asked), *left], body, facts


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
        elif name == b"content-length" and len(value) > _LONGEST_LENGTH:
            return None
    return match[1] if is_json else None


def _again(message: Message, receive: Receive) -> Receive:
    """Return a `receive` that gives a message that was taken already once more."""
    taken = [message]

    async def receive_again() -> Message:
        return taken.pop() if taken else await receive()

    return receive_again
