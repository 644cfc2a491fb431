"""Reads what forms and addresses of the console say, as strictly as the API reads its bodies."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError

from askonce.core.access import Caller
from askonce.core.conversations import ANYBODY
from askonce.core.errors import (
    FieldError,
    ForbiddenError,
    InvalidFieldsError,
    MalformedRequestError,
)
from askonce.core.idempotency import IdempotencyKey
from askonce.http.errors import fields
from askonce.http.parameters import USER_ID

M = TypeVar("M", bound=BaseModel)

MEDIA_TYPE = "application/x-www-form-urlencoded"
_MOST_FIELDS = 40
_USER = re.compile(USER_ID)
_ONCE = re.compile(r"[A-Za-z0-9_-]{8,64}")

Form = Mapping[str, str]


async def form_of(request: Request) -> Form:
    """Return the fields of a form; of one that is there several times, the last.

    Raises:
        MalformedRequestError: it is no form in UTF-8.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != MEDIA_TYPE:
        raise MalformedRequestError(f"A form is sent as {MEDIA_TYPE}.")
    return _fields(await request.body())


def query_of(request: Request) -> Form:
    """Return what an address says behind its question mark, without what was left empty.

    Raises:
        MalformedRequestError: it is not UTF-8.
    """
    found = _fields(request.scope["query_string"])
    return {name: value for name, value in found.items() if value}


def _fields(written: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            written.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except (UnicodeDecodeError, ValueError):
        raise MalformedRequestError("The form cannot be read.") from None
    # A browser ends lines of a text as no other client does: the same question is to be the same.
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


def read_as(model: type[M], values: Mapping[str, Any]) -> M:
    """Return what a form says as a body of the API, leaving out what was left empty.

    Raises:
        InvalidFieldsError: some of it is wrong.
    """
    said = {name: value for name, value in values.items() if value not in ("", None)}
    try:
        return model.model_validate(said)
    except ValidationError as error:
        complaints = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidFieldsError(*fields(complaints)) from None


def number_of(form: Form, name: str) -> int | str | None:
    """Return a field as a number where it is one; the model that reads it next refuses the rest."""
    written = form.get(name, "").strip()
    return int(written) if re.fullmatch("[0-9]{1,12}", written) else written


def user_of(form: Form, caller: Caller) -> str:
    """Return whom a page is about: who was chosen, else the key's own user.

    Raises:
        InvalidFieldsError: nobody can be called so.
        ForbiddenError: it is not for the caller to reach that user.
    """
    user_id = form.get("user") or caller.user_id or ANYBODY
    if not _USER.fullmatch(user_id):
        message = "1 to 128 of the characters A-Z a-z 0-9 . _ @ : + -"
        raise InvalidFieldsError(FieldError("user", message))
    if not caller.reaches(user_id):
        raise ForbiddenError
    return user_id


def key_of(form: Form, caller: Caller, path: str, body: Mapping[str, Any]) -> IdempotencyKey | None:
    """Return what makes sending a form twice safe; what was changed in between is another form."""
    once = form.get("once", "")
    if not _ONCE.fullmatch(once):
        return None
    said = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return IdempotencyKey.of(
        f"console {once} {said}",
        tenant=caller.tenant,
        key_id=caller.key_id,
        path=f"POST {path}",
        body=dict(body),
    )
