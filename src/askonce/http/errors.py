"""One table says what a client sees of each error, and one function writes it (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from askonce.core.errors import (
    AnswerParkedError,
    AskonceError,
    BudgetExceededError,
    ConflictError,
    DatabaseUnavailableError,
    DeletedError,
    ErasedError,
    FieldError,
    ForbiddenError,
    ForeignFormError,
    IdempotencyMismatchError,
    InputTooLongError,
    InvalidAnswerError,
    InvalidFieldsError,
    MalformedRequestError,
    NotCachedError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    ProviderCircuitOpenError,
    ProviderError,
    ProviderExhaustedError,
    ProviderRejectedError,
    RateLimitedError,
    TooLargeError,
    UnauthenticatedError,
    UnknownProviderError,
    UnsupportedMediaTypeError,
)
from askonce.http import quotas
from askonce.http.shown import moment
from askonce.telemetry import log, requests

MEDIA_TYPE = "application/problem+json"
_LONGEST_FIELD = 200
# As nginx logs it, where a request's body never came to its end.
CLIENT_GONE = 499


@dataclass(frozen=True, slots=True)
class Problem:
    """What is the same each time an error of one kind is reported."""

    status: int
    type: str
    title: str
    detail: str
    retry_after: int | None = None


# Every error that can reach a client stands here; tests/http/test_errors.py sees to it.
PROBLEMS: Mapping[type[Exception], Problem] = {
    MalformedRequestError: Problem(
        400, "malformed-request", "The request cannot be read", "{detail}"
    ),
    BudgetExceededError: Problem(
        402, "budget-exceeded", "The budget does not allow another call", "{budget}"
    ),
    UnauthenticatedError: Problem(
        401,
        "unauthenticated",
        "A key is needed",
        "Send a key that is good: Authorization: Bearer ask_... (`askonce keys create` makes one).",
    ),
    ForbiddenError: Problem(
        403, "forbidden", "Forbidden", "Your key is good, but not for this user or this operation."
    ),
    ForeignFormError: Problem(
        403,
        "forbidden",
        "This form is not to be trusted",
        "It was not sent by a page of this console under the address that it has now, or the page"
        " is too old. Open it anew. (A proxy must pass the Host header on as it came.)",
    ),
    NotFoundError: Problem(404, "not-found", "Not found", "It does not exist, or is not yours."),
    ConflictError: Problem(
        409,
        "conflict",
        "Another turn is running",
        "Another turn of this session is running, or was quicker. Read the session, then go on.",
        retry_after=2,
    ),
    TooLargeError: Problem(
        413, "too-large", "The body is too large", "A body may have up to 1 MiB (1048576 bytes)."
    ),
    UnsupportedMediaTypeError: Problem(
        415,
        "unsupported-media-type",
        "The body is not JSON",
        "Send JSON in UTF-8, uncompressed, with the header Content-Type: application/json.",
    ),
    DeletedError: Problem(
        410,
        "deleted",
        "Deleted",
        "What this Idempotency-Key was answered with has been deleted.",
    ),
    ErasedError: Problem(
        410,
        "deleted",
        "Deleted",
        "Everything about the user was erased while this request was under way.",
    ),
    IdempotencyMismatchError: Problem(
        422,
        "idempotency-mismatch",
        "The key belongs to another request",
        "This Idempotency-Key came with another request before. Use a new one.",
    ),
    InvalidFieldsError: Problem(
        422, "validation", "Some fields are wrong", "See errors: each names its field."
    ),
    UnknownProviderError: Problem(
        422,
        "unknown-provider",
        "The provider is not configured",
        "This service has no provider of that name.",
    ),
    InputTooLongError: Problem(
        422,
        "input-too-long",
        "The text is too long for the model",
        "The text does not fit the context of the model at {provider}.",
    ),
    RateLimitedError: Problem(
        429,
        "rate-limited",
        "Too many requests",
        "This key or this user asks too often. Try again in {retry_after} s.",
    ),
    ProviderRejectedError: Problem(
        502,
        "provider-rejected",
        "The provider refuses the request",
        "{provider} refuses our key or our request ({reason}); trying again will not help.",
    ),
    InvalidAnswerError: Problem(
        502,
        "invalid-answer",
        "The answer cannot be used",
        "What {provider} answered {reason}.",
    ),
    OverloadedError: Problem(
        503,
        "overloaded",
        "Too many calls at once",
        "No call slot is free, and the queue for one is full. Try again soon.",
        retry_after=1,
    ),
    DatabaseUnavailableError: Problem(
        503,
        "database-unavailable",
        "The database does not answer",
        "Nothing was stored. Try again soon.",
        retry_after=5,
    ),
    AnswerParkedError: Problem(
        503,
        "database-unavailable",
        "The database does not answer",
        "The answer is there, but could not be stored yet. It will be; then it is in the history.",
        retry_after=5,
    ),
    ProviderCircuitOpenError: Problem(
        503,
        "provider-unavailable",
        "The provider is left alone for a while",
        "{provider} has failed too often lately, and is not asked for a while.",
    ),
    NotReadyError: Problem(
        503, "not-ready", "Not ready", "This process is starting or draining.", retry_after=1
    ),
    ProviderExhaustedError: Problem(
        504,
        "provider-exhausted",
        "The provider gave no answer",
        "Every try at {provider} failed; the last: {reason}.",
    ),
    NotCachedError: Problem(
        504,
        "not-cached",
        "Not in the cache",
        "The request asked for a cached answer or none (only-if-cached), and there is none.",
    ),
}
INTERNAL = Problem(
    500,
    "internal-error",
    "Something went wrong on our side",
    "It has been logged under this request id.",
)
METHOD_NOT_ALLOWED = Problem(
    405, "method-not-allowed", "Method not allowed", "This path has other methods; see Allow."
)


def add_handlers(app: FastAPI) -> None:
    """Make `app` report every error as a problem."""

    async def on_own(request: Request, error: Exception) -> Response:
        return of_error(error, request_id_of(request))

    async def on_fields(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - by registration
        return of_error(InvalidFieldsError(*fields(error.errors())), request_id_of(request))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - by registration
        request_id = request_id_of(request)
        if error.status_code == METHOD_NOT_ALLOWED.status:
            return written(
                METHOD_NOT_ALLOWED, request_id, headers={"Allow": _methods(app, request)}
            )
        if error.status_code == PROBLEMS[NotFoundError].status:
            return of_error(NotFoundError(), request_id)
        return of_error(MalformedRequestError("The request cannot be read."), request_id)

    async def on_crash(request: Request, _error: Exception) -> Response:
        return written(INTERNAL, request_id_of(request))

    async def on_gone(_request: Request, _error: Exception) -> Response:
        # Nobody reads it; the log shows that this was no error of ours.
        return Response(status_code=CLIENT_GONE)

    app.add_exception_handler(Exception, on_crash)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(AskonceError, on_own)
    app.add_exception_handler(RequestValidationError, on_fields)
    app.add_exception_handler(HTTPException, on_http)


def of_error(error: Exception, request_id: str) -> Response:
    """Return the response that reports `error`."""
    problem = next((PROBLEMS[kind] for kind in type(error).__mro__ if kind in PROBLEMS), None)
    if problem is None:
        log.error("request_failed", error=type(error).__name__, request_id=request_id)
        return written(INTERNAL, request_id)
    errors: Sequence[FieldError] = ()
    if isinstance(error, InvalidFieldsError):
        errors = error.errors
    elif isinstance(error, UnknownProviderError):
        errors = [FieldError("provider", "is not configured")]
    return written(
        problem,
        request_id,
        detail=problem.detail.format(
            detail=getattr(error, "detail", ""),
            provider=error.provider if isinstance(error, ProviderError) else "",
            reason=error.reason if isinstance(error, ProviderError) else "",
            budget=_told(error) if isinstance(error, BudgetExceededError) else "",
            retry_after=getattr(error, "retry_after", ""),
        ),
        errors=errors,
        headers=_headers(error, problem),
    )


def written(
    problem: Problem,
    request_id: str,
    *,
    detail: str | None = None,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem as a response."""
    requests.tell({"problem": problem.type})
    body: dict[str, object] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": detail or problem.detail,
        "request_id": request_id,
    }
    if errors:
        body["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return Response(
        json.dumps(body), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers
    )


def fields(errors: Sequence[Mapping[str, object]]) -> list[FieldError]:
    """Return pydantic's complaints without the values that it complains about."""
    return [
        FieldError(_path(error["loc"]), str(error["msg"]).removeprefix("Value error, "))
        for error in errors
    ]


def request_id_of(request: Request) -> str:
    """Return the id that `RequestEdge` gave this request."""
    return str(request.scope["state"]["request_id"])


def _told(error: BudgetExceededError) -> str:
    scope = error.budget.scope
    if error.unpriced is not None:
        return (
            f"There is a budget in dollars for this {scope.kind}, and the price of the model is not"
            " known: ask another one, or have its price set (ASKONCE_PRICES)."
        )
    return (
        f"The next call could pass what this {scope.kind} may spend in a {scope.period}; the next"
        f" {scope.period} begins at {moment(error.ends_at)}. What is cached still costs nothing."
    )


def _path(loc: object) -> str:
    steps = list(loc) if isinstance(loc, (list, tuple)) else []
    if steps and steps[0] in ("body", "query", "path", "header"):
        steps = steps[1:]
    # A field that is not known is named by the client, who may send anything for a name.
    path = ".".join(str(step) for step in steps) or "body"
    return path[:_LONGEST_FIELD].encode("ascii", "backslashreplace").decode()


def _headers(error: Exception, problem: Problem) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = "Bearer"
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    if isinstance(error, RateLimitedError):
        headers["Retry-After"] = str(error.retry_after)
        headers |= {name.decode(): value.decode() for name, value in quotas.headers(error.quotas)}
    if isinstance(error, ProviderCircuitOpenError):
        headers["Retry-After"] = str(max(1, ceil(error.retry_after)))
    if isinstance(error, ProviderExhaustedError):
        # The OpenAI and Anthropic clients obey this, and do not multiply our tries by theirs.
        headers["x-should-retry"] = "false"
        if error.retry_after is not None:
            headers["Retry-After"] = str(ceil(error.retry_after))
    return headers


def _methods(app: FastAPI, request: Request) -> str:
    """Return what the path allows: two routes may share one path with different methods."""
    methods: set[str] = set()
    for route in app.routes:
        match, _ = route.matches(request.scope)
        if match is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(methods))
