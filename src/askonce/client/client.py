"""The client: each method is one request to the service."""

import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from askonce.client.errors import understood
from askonce.client.shapes import Analysis, Message, Preferences, Session
from askonce.client.streams import Stream
from askonce.client.transport import Patience, Transport

DEFAULT_URL = "http://127.0.0.1:8000"
# The service answers within its own deadline, which is 60 s unless set.
_TIMEOUT_SECONDS = 90.0
_PAGE = 100


class Client:
    """Asks a running askonce. One client may be used by several threads; close it at the end.

    Every POST carries an idempotency key, so that a repeat after a lost answer is answered with
    what was bought the first time.

    Args:
        url: where the service is; unset, `ASKONCE_URL`, else this machine's port 8000.
        key: `ask_…`; unset, `ASKONCE_KEY`. A service on this machine may need none.
        timeout: seconds to wait for the next byte of an answer.
        patience: how long to go on after failures that pass.
        new_key: makes idempotency keys that no two requests share.
        socket: a Unix socket to connect to, in place of the URL's host and port.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = _TIMEOUT_SECONDS,
        patience: Patience | None = None,
        new_key: Callable[[], str] = lambda: uuid.uuid4().hex,
        socket: Path | None = None,
    ) -> None:
        self._transport = Transport(
            url or os.environ.get("ASKONCE_URL") or DEFAULT_URL,
            key or os.environ.get("ASKONCE_KEY") or None,
            timeout=timeout,
            patience=patience or Patience(),
            socket=socket,
        )
        self._new_key = new_key

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    def analyze(
        self,
        user_id: str,
        text: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        instructions: str | None = None,
        output_schema: Mapping[str, Any] | None = None,
        max_output_tokens: int | None = None,
        cache_control: str | None = None,
        idempotency_key: str | None = None,
    ) -> Analysis:
        """Return what a model says to a text, or said to it within the last 24 hours.

        `cache_control` is HTTP's: `no-cache` asks anew, `no-store` leaves no entry, `max-age=60`
        accepts what is younger, `only-if-cached` never calls a provider.

        Raises:
            ProblemError: the service cannot answer.
            UnreachableError: no answer came.
        """
        body = _given(
            text=text,
            provider=provider,
            model=model,
            instructions=instructions,
            output_schema=output_schema,
            max_output_tokens=max_output_tokens,
        )
        headers = self._headers(idempotency_key, cache_control)
        response = self._transport.answered("POST", _analyze(user_id), body=body, headers=headers)
        with understood():
            return Analysis.of(response.json(), response.headers)

    def stream(
        self,
        user_id: str,
        text: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        instructions: str | None = None,
        output_schema: Mapping[str, Any] | None = None,
        max_output_tokens: int | None = None,
        cache_control: str | None = None,
        idempotency_key: str | None = None,
    ) -> Stream[Analysis]:
        """Return an answer as it is made; as `analyze` does. Nothing is asked before it is read."""
        body = _given(
            text=text,
            provider=provider,
            model=model,
            instructions=instructions,
            output_schema=output_schema,
            max_output_tokens=max_output_tokens,
        )
        headers = self._headers(idempotency_key, cache_control)
        return Stream(
            self._transport, _analyze(user_id), body=body, headers=headers, read=Analysis.of
        )

    def history(
        self,
        user_id: str,
        *,
        q: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        cached: bool | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        limit: int | None = None,
    ) -> Iterator[Analysis]:
        """Yield a user's analyses, newest first, all or `limit` of them.

        A page is fetched when it is needed.
        """
        query = {
            "q": q,
            "provider": provider,
            "model": model,
            "cached": None if cached is None else str(cached).lower(),
            "since": _moment(since),
            "until": _moment(until),
        }
        items = self._all(f"/history/{_quoted(user_id)}", query, page=min(limit or _PAGE, _PAGE))
        for facts in islice(items, limit):
            yield Analysis.of(facts)

    def analysis(self, user_id: str, analysis_id: int) -> Analysis:
        """Return one analysis, with its text."""
        path = f"/history/{_quoted(user_id)}/{analysis_id}"
        return Analysis.of(self._transport.json("GET", path))

    def delete_analysis(self, analysis_id: int) -> None:
        """Delete one analysis; with its last use the answer and its cache entry too."""
        self._transport.json("DELETE", f"/history/{analysis_id}")

    def begin_session(
        self,
        title: str,
        *,
        prompt: str | None = None,
        user_id: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        instructions: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Begin a conversation; a prompt is its first message, which is not answered yet."""
        body = _given(
            title=title,
            prompt=prompt,
            user_id=user_id,
            provider=provider,
            model=model,
            instructions=instructions,
        )
        headers = self._headers(idempotency_key)
        return Session.of(self._transport.json("POST", "/sessions", body=body, headers=headers))

    def sessions(self, user_id: str | None = None) -> Iterator[Session]:
        """Yield conversations without their messages, the most recently updated first."""
        for facts in self._all("/sessions", {"user_id": user_id}):
            yield Session.of(facts)

    def session(self, session_id: int, *, cursor: str | None = None, limit: int = 10) -> Session:
        """Return a conversation with up to `limit` (1 to 100) of its newest messages."""
        query = {"cursor": cursor, "limit": limit}
        return Session.of(self._transport.json("GET", f"/sessions/{session_id}", query=query))

    def messages(self, session_id: int) -> Iterator[Message]:
        """Yield all messages of a conversation, newest first."""
        cursor: str | None = None
        while True:
            session = self.session(session_id, cursor=cursor, limit=_PAGE)
            yield from session.messages
            cursor = session.next_cursor
            if cursor is None:
                return

    def rename_session(self, session_id: int, title: str) -> Session:
        """Give a conversation another title."""
        path = f"/sessions/{session_id}"
        return Session.of(self._transport.json("PATCH", path, body={"title": title}))

    def delete_session(self, session_id: int) -> None:
        """Delete a conversation with all its messages."""
        self._transport.json("DELETE", f"/sessions/{session_id}")

    def say(
        self,
        session_id: int,
        content: str,
        *,
        role: str = "user",
        provider: str | None = None,
        model: str | None = None,
        max_output_tokens: int | None = None,
        cache_control: str | None = None,
        idempotency_key: str | None = None,
    ) -> Session:
        """Say something and return the session with this turn's messages, the reply last.

        With the role `assistant` it is only kept, and no model is asked.
        """
        body = _given(
            role=role,
            content=content,
            provider=provider,
            model=model,
            max_output_tokens=max_output_tokens,
        )
        headers = self._headers(idempotency_key, cache_control)
        path = f"/sessions/{session_id}/messages"
        return Session.of(self._transport.json("POST", path, body=body, headers=headers))

    def stream_reply(
        self,
        session_id: int,
        content: str,
        *,
        provider: str | None = None,
        model: str | None = None,
        max_output_tokens: int | None = None,
        cache_control: str | None = None,
        idempotency_key: str | None = None,
    ) -> Stream[Session]:
        """Say something and return the reply as it is made; `result` is as `say` returns."""
        body = _given(
            role="user",
            content=content,
            provider=provider,
            model=model,
            max_output_tokens=max_output_tokens,
        )
        headers = self._headers(idempotency_key, cache_control)
        path = f"/sessions/{session_id}/messages"
        return Stream(self._transport, path, body=body, headers=headers, read=_session)

    def summarise(self, session_id: int, *, idempotency_key: str | None = None) -> Message:
        """Return a summary of a conversation; it is kept until more is said."""
        headers = self._headers(idempotency_key)
        path = f"/sessions/{session_id}/summary"
        return Message.of(self._transport.json("POST", path, body={}, headers=headers))

    def preferences(self, user_id: str) -> Preferences:
        """Return what a user wants where a request leaves it open."""
        path = f"/users/{_quoted(user_id)}/preferences"
        return Preferences.of(self._transport.json("GET", path))

    def set_preferences(self, user_id: str, preferences: Preferences) -> Preferences:
        """Replace a user's preferences; what is None is open again."""
        path = f"/users/{_quoted(user_id)}/preferences"
        body = _given(
            provider=preferences.provider,
            model=preferences.model,
            instructions=preferences.instructions,
            max_output_tokens=preferences.max_output_tokens,
        )
        return Preferences.of(self._transport.json("PUT", path, body=body))

    def usage(
        self,
        user_id: str,
        *,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        group_by: str | None = None,
    ) -> Mapping[str, Any]:
        """Return what a user spent and saved; `group_by` is day, provider or model."""
        query = {"since": _moment(since), "until": _moment(until), "group_by": group_by}
        facts: Mapping[str, Any] = self._transport.json(
            "GET", f"/usage/{_quoted(user_id)}", query=query
        )
        return facts

    def audit(
        self,
        *,
        user_id: str | None = None,
        action: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the audit trail, newest first; needs an admin's key."""
        query = {
            "user_id": user_id,
            "action": action,
            "since": _moment(since),
            "until": _moment(until),
        }
        yield from self._all("/audit", query)

    def export(self, user_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield everything that is held about a user, one object after the other."""
        path = f"/users/{_quoted(user_id)}/export"
        with self._transport.streamed("GET", path) as response:
            for line in response.iter_lines():
                if line:
                    yield json.loads(line)

    def erase(self, user_id: str) -> Mapping[str, Any]:
        """Erase everything about a user, and return the receipt: rows deleted of each kind."""
        receipt: Mapping[str, Any] = self._transport.json("DELETE", f"/users/{_quoted(user_id)}")
        return receipt

    def health(self) -> Mapping[str, Any]:
        """Return how the service is; it never calls a provider for that."""
        facts: Mapping[str, Any] = self._transport.json("GET", "/health")
        return facts

    def _all(
        self, path: str, query: Mapping[str, Any], *, page: int = _PAGE
    ) -> Iterator[Mapping[str, Any]]:
        cursor: str | None = None
        while True:
            got = self._transport.json(
                "GET", path, query={**query, "limit": page, "cursor": cursor}
            )
            with understood():
                items, cursor = list(got["items"]), got["next_cursor"]
            yield from items
            if cursor is None:
                return

    def _headers(self, key: str | None, cache_control: str | None = None) -> dict[str, str]:
        headers = {"idempotency-key": key or self._new_key()}
        return headers if cache_control is None else {**headers, "cache-control": cache_control}


def _session(facts: Mapping[str, Any], _headers: Mapping[str, str]) -> Session:
    return Session.of(facts)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _analyze(user_id: str) -> str:
    return f"/analyze/{_quoted(user_id)}"


def _quoted(user_id: str) -> str:
    return quote(user_id, safe="@:+")


def _moment(at: datetime | str | None) -> str | None:
    return at.isoformat() if isinstance(at, datetime) else at
