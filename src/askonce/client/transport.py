"""Sends requests, again where that can help, and turns what comes back into values or errors."""

import random
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2

from askonce.client.errors import FieldFault, ProblemError, UnreachableError, understood

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 8.0
_CONNECT_SECONDS = 5.0
# 409: another turn of the session is running. The others are somebody's passing trouble.
_PASSING = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
# The service's own word for these is final: it has tried already, or would have to pay again.
_FINAL_PROBLEMS = frozenset(
    {"provider-exhausted", "not-cached", "provider-rejected", "invalid-answer"}
)
_PROBLEM = "application/problem+json"
_SECONDS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to go on: `tries` in all, and none that begins after `seconds`."""

    tries: int = 4
    seconds: float = 120.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    now: Callable[[], float] = field(default=time.monotonic, repr=False)
    spread: Callable[[], float] = field(default=random.random, repr=False)


class Transport:
    """One service at one address. It may be used by several threads."""

    def __init__(
        self,
        url: str,
        key: str | None,
        *,
        timeout: float,
        patience: Patience,
        socket: Path | None = None,
    ) -> None:
        self._patience = patience
        self._http = httpx2.Client(
            base_url=url,
            headers={} if key is None else {"authorization": f"Bearer {key}"},
            timeout=httpx2.Timeout(timeout, connect=_CONNECT_SECONDS),
            follow_redirects=False,
            transport=None if socket is None else _over(socket),
        )

    def close(self) -> None:
        self._http.close()

    def json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Return the parsed body of an answer; None where it has none. Raises as `answered`."""
        response = self.answered(method, path, body=body, query=query, headers=headers)
        with understood():
            return response.json() if response.content else None

    def answered(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """Return a whole answer.

        Raises:
            ProblemError: the service says no, and goes on saying so.
            UnreachableError: no answer came.
        """
        for attempt in self.attempts():
            with attempt:
                request = self._request(method, path, body=body, query=query, headers=headers)
                response = self._http.send(request)
                if response.is_success:
                    return response
                raise problem_of(response)
        raise AssertionError("the last attempt raises")

    @contextmanager
    def streamed(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[httpx2.Response]:
        """Give one answer whose body has yet to be read, after a single try.

        Raises:
            ProblemError: the service says no.
        """
        request = self._request(method, path, body=body, query=query, headers=headers)
        response = self._http.send(request, stream=True)
        try:
            if not response.is_success:
                response.read()
                raise problem_of(response)
            yield response
        finally:
            response.close()

    def attempts(self) -> Iterator["Attempt"]:
        """Yield the tries that are worth making; the last of them raises what it failed with."""
        patience = self._patience
        until = patience.now() + patience.seconds
        for number in range(1, patience.tries + 1):
            attempt = Attempt()
            yield attempt
            failure = attempt.failure
            if failure is None:
                return
            wait = self._wait(failure, number)
            if wait is None or number == patience.tries or patience.now() + wait > until:
                raise _told(failure)
            patience.sleep(wait)

    def _wait(self, failure: Exception, number: int) -> float | None:
        """Return how many seconds to wait for the next try; None where it would not help."""
        ceiling = min(_FIRST_WAIT_SECONDS * 2 ** (number - 1), _LONGEST_WAIT_SECONDS)
        # Full jitter: whoever failed together does not come back together.
        jitter: float = ceiling * self._patience.spread()
        if isinstance(failure, ProblemError):
            if not failure.is_passing:
                return None
            # Not before the time that was named, and not all at that moment either.
            return jitter if failure.retry_after is None else failure.retry_after + jitter
        return jitter

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx2.Request:
        given = {name: value for name, value in (query or {}).items() if value is not None}
        return self._http.build_request(method, path, json=body, params=given, headers=headers)


def _over(socket: Path) -> httpx2.BaseTransport:
    # Nothing on it is encrypted, and to read whom this machine trusts would take a while.
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx2.HTTPTransport(uds=str(socket), verify=nobody)


class Attempt:
    """One try, as a context manager that keeps what it failed with for `attempts`."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, ProblemError | httpx2.TransportError):
            self.failure = error
            return True
        return False


def problem_of(response: httpx2.Response) -> ProblemError:
    """Return what the service, or something in front of it, says instead of an answer."""
    facts: dict[str, Any] = {}
    if response.headers.get("content-type", "").startswith(_PROBLEM):
        facts = response.json()
    return ProblemError(
        status=response.status_code,
        type=facts.get("type", "").rpartition("/")[2] or "unknown",
        title=facts.get("title", response.reason_phrase),
        detail=facts.get("detail", "the answer did not come from askonce"),
        request_id=facts.get("request_id") or response.headers.get("x-request-id"),
        errors=tuple(FieldFault(one["field"], one["message"]) for one in facts.get("errors", ())),
        retry_after=_seconds(response.headers.get("retry-after")),
        is_passing=_is_passing(response, facts),
    )


def event_problem(facts: Mapping[str, Any]) -> ProblemError:
    """Return the problem that ended a stream. What had begun is not begun again by itself."""
    return ProblemError(
        status=facts["status"],
        type=facts["type"].rpartition("/")[2],
        title=facts["title"],
        detail=facts["detail"],
        request_id=facts.get("request_id"),
    )


def _is_passing(response: httpx2.Response, facts: Mapping[str, Any]) -> bool:
    # The header that the OpenAI and Anthropic clients obey.
    word = response.headers.get("x-should-retry")
    if word in {"true", "false"}:
        return bool(word == "true")
    slug = facts.get("type", "").rpartition("/")[2]
    return response.status_code in _PASSING and slug not in _FINAL_PROBLEMS


def _seconds(written: str | None) -> float | None:
    """Return what a Retry-After says (RFC 9110 section 10.2.3), in seconds from now."""
    if written is None:
        return None
    if _SECONDS.fullmatch(written):
        return float(written)
    try:
        moment = parsedate_to_datetime(written)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _told(failure: Exception) -> Exception:
    if isinstance(failure, ProblemError):
        return failure
    return UnreachableError(f"{type(failure).__name__}: no answer from the service")
