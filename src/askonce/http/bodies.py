"""Reads a JSON body strictly, and says which field is wrong without ever repeating its value."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from askonce.core.errors import (
    InvalidFieldsError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)
from askonce.http.errors import fields

M = TypeVar("M", bound=BaseModel)


def json_body(model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """Return a dependency that gives the body as a `model`.

    FastAPI's own reading takes UTF-16, guesses encodings, and echoes what it refuses.
    """

    async def read(request: Request) -> M:
        _check_headers(request)
        return parsed(model, await request.body())

    return read


def documented(model: type[BaseModel], *examples: dict[str, Any]) -> dict[str, Any]:
    """Return what OpenAPI says of a body that is read by `json_body`."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    content: dict[str, Any] = {"schema": schema}
    if examples:
        content["examples"] = {
            f"example{number}": {"value": example} for number, example in enumerate(examples, 1)
        }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def parsed(model: type[M], body: bytes) -> M:
    """Return a body as a `model`.

    Raises:
        MalformedRequestError: it is not JSON in UTF-8.
        InvalidFieldsError: it is, but its fields are wrong.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        complaints = error.errors(include_url=False, include_context=False, include_input=False)
        if complaints[0]["type"] != "json_invalid":
            raise InvalidFieldsError(*fields(complaints)) from None
    # The fast parser refuses a lone surrogate as bad syntax; only a value tells which field it is.
    try:
        return model.model_validate(_loaded(body))
    except ValidationError as error:
        complaints = error.errors(include_url=False, include_context=False, include_input=False)
        raise InvalidFieldsError(*fields(complaints)) from None


def _loaded(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        message = "The body is not UTF-8."
    except (ValueError, RecursionError):
        message = "The body is not JSON."
    raise MalformedRequestError(message)


def _refuse_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)


def _check_headers(request: Request) -> None:
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    media_type = media_type.strip().lower()
    is_json = media_type == "application/json" or (
        media_type.startswith("application/") and media_type.endswith("+json")
    )
    charset = parameters.lower().partition("charset=")[2].strip(" \"'")
    is_utf8 = charset.partition(";")[0].strip(" \"'") in ("", "utf-8", "utf8", "us-ascii")
    is_plain = request.headers.get("content-encoding", "identity").lower() == "identity"
    if not (is_json and is_utf8 and is_plain):
        raise UnsupportedMediaTypeError
