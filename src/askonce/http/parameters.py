"""Reads what comes in paths, queries and headers."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Path, Request
from pydantic import BaseModel

from askonce.core.access import Caller
from askonce.core.caching import CacheRules
from askonce.core.errors import (
    FieldError,
    InvalidFieldsError,
    MalformedRequestError,
    NotFoundError,
)
from askonce.core.idempotency import IdempotencyKey

_LARGEST_ID = 2**63 - 1
_ID = re.compile(r"[1-9][0-9]{0,18}")
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_SECONDS = re.compile(r"[0-9]{1,10}")
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d))?", re.ASCII
)
_WORD = re.compile(r"[^\W_]+")
_MAX_WORDS = 32
_CURSOR_PREFIX = "before:"
_PLACE_PREFIX = "behind:"
_NOT_OURS = "The cursor is not one of ours; start without one."
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

USER_ID = r"^[A-Za-z0-9._@:+-]{1,128}$"
UserId = Annotated[
    str,
    Path(
        pattern=USER_ID,
        description="1 to 128 of the characters A-Z a-z 0-9 . _ @ : + -",
        examples=["alice"],
    ),
]


async def rules_of(request: Request) -> CacheRules:
    """Async, like all dependencies here: a synchronous one costs a hop to another thread."""
    return cache_rules_of(request)


def id_of(written: str) -> int:
    """Return an id from a path.

    Raises:
        NotFoundError: it is not spelled as ids are, or too large to be one.
    """
    if not _ID.fullmatch(written) or int(written) > _LARGEST_ID:
        raise NotFoundError
    return int(written)


def cache_rules_of(request: Request) -> CacheRules:
    """Return what the request's Cache-Control says (RFC 9111 section 5.2.1).

    Raises:
        MalformedRequestError: max-age has no number of seconds.
    """
    directives: dict[str, str] = {}
    for header in request.headers.getlist("cache-control"):
        for directive in header.split(","):
            name, _, value = directive.strip().partition("=")
            directives[name.strip().lower()] = value.strip().strip('"')
    max_age = directives.get("max-age")
    if max_age is not None and not _SECONDS.fullmatch(max_age):
        detail = "Cache-Control: max-age needs a whole number of seconds."
        raise MalformedRequestError(detail)
    return CacheRules(
        no_cache="no-cache" in directives,
        no_store="no-store" in directives,
        only_if_cached="only-if-cached" in directives,
        max_age=None if max_age is None else timedelta(seconds=int(max_age)),
    )


def idempotency_key_of(request: Request, caller: Caller, body: BaseModel) -> IdempotencyKey | None:
    """Return the request's Idempotency-Key, where it has one.

    Raises:
        MalformedRequestError: it is empty, too long, not ASCII, or there are two.
    """
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        detail = "Idempotency-Key: 1 to 255 printable ASCII characters, once."
        raise MalformedRequestError(detail)
    return IdempotencyKey.of(
        given[0],
        tenant=caller.tenant,
        key_id=caller.key_id,
        path=f"{request.method} {request.url.path}",
        body=body.model_dump(),
    )


def cursor_to(before_id: int | None) -> str | None:
    """Return the opaque place where the next page starts; None after the last page."""
    if before_id is None:
        return None
    return base64.urlsafe_b64encode(f"{_CURSOR_PREFIX}{before_id}".encode()).decode().rstrip("=")


def before_id_of(cursor: str | None) -> int | None:
    """Return what `cursor_to` was given.

    Raises:
        MalformedRequestError: we never gave out this cursor.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        before_id = id_of(decoded.removeprefix(_CURSOR_PREFIX))
    except (binascii.Error, ValueError, NotFoundError):
        before_id = None
    if before_id is None or cursor_to(before_id) != cursor:
        raise MalformedRequestError(_NOT_OURS)
    return before_id


def cursor_to_place(moment: datetime, last_id: int) -> str:
    """Return the opaque place behind a row in a list that is sorted by moment and id."""
    microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
    place = f"{_PLACE_PREFIX}{microseconds}:{last_id}"
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def place_of(cursor: str | None) -> tuple[datetime, int] | None:
    """Return what `cursor_to_place` was given.

    Raises:
        MalformedRequestError: we never gave out this cursor.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        decoded = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        microseconds, _, last_id = decoded.removeprefix(_PLACE_PREFIX).partition(":")
        place = _EPOCH + timedelta(microseconds=id_of(microseconds)), id_of(last_id)
    except (binascii.Error, ValueError, OverflowError, NotFoundError):
        place = None
    if place is None or cursor_to_place(*place) != cursor:
        raise MalformedRequestError(_NOT_OURS)
    return place


def moment_of(field: str, written: str | None) -> datetime | None:
    """Return a moment from a query: RFC 3339, or a date alone for its first moment in UTC.

    Raises:
        InvalidFieldsError: it is neither.
    """
    if written is None:
        return None
    try:
        moment = datetime.fromisoformat(written.upper() if _MOMENT.fullmatch(written) else "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        message = (
            "is not a moment as in RFC 3339, such as 2026-11-21T19:07:13Z (a + is sent as %2B)"
        )
        raise InvalidFieldsError(FieldError(field, message)) from None


def words_of(q: str | None) -> tuple[str, ...] | None:
    """Return the words to search for, None without a search; nothing has no words at all.

    Raises:
        InvalidFieldsError: there are too many.
    """
    if not q:
        return None
    words = tuple(dict.fromkeys(_WORD.findall(q)))
    if len(words) > _MAX_WORDS:
        raise InvalidFieldsError(FieldError("q", f"may have up to {_MAX_WORDS} words"))
    return words
