"""What OpenAPI says of errors."""

from typing import Any

from askonce.core.errors import RateLimitedError
from askonce.http import quotas
from askonce.http.errors import INTERNAL, MEDIA_TYPE, METHOD_NOT_ALLOWED, PROBLEMS, Problem

_STRING = {"type": "string"}
_RETRY_AFTER = {
    "description": "In how many seconds the same request will be admitted",
    "schema": {"type": "integer"},
}

# Written out here, not made from a model: a reference inside it would point nowhere.
_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "An error as in RFC 9457",
    "type": "object",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": _STRING,
        "title": _STRING,
        "status": {"type": "integer"},
        "detail": _STRING,
        "request_id": _STRING,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": _STRING, "message": _STRING},
            },
        },
    },
}


_TOO_MANY = PROBLEMS[RateLimitedError].status


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these statuses, each with all problems that it may be."""
    known = (*PROBLEMS.values(), METHOD_NOT_ALLOWED)
    documented: dict[int | str, dict[str, Any]] = {
        status: _response([problem for problem in known if problem.status == status])
        for status in statuses
    }
    if _TOO_MANY in documented:
        documented[_TOO_MANY]["headers"] = {"Retry-After": _RETRY_AFTER, **quotas.DOCUMENTED}
    return documented | {"default": _response([INTERNAL])}


def _response(known: list[Problem]) -> dict[str, Any]:
    return {
        "description": " · ".join(f"`{problem.type}`: {problem.title}" for problem in known),
        "content": {
            MEDIA_TYPE: {
                "schema": _SCHEMA,
                "examples": {problem.type: {"value": _example(problem)} for problem in known},
            }
        },
    }


def _example(problem: Problem) -> dict[str, Any]:
    return {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "request_id": "4f1c2d7e9ab84c5d",
    }
