"""What OpenAPI says of errors."""

from typing import Any

from pydantic import BaseModel, Field

from askonce.http.errors import INTERNAL, MEDIA_TYPE, METHOD_NOT_ALLOWED, PROBLEMS


class FieldErrorOut(BaseModel):
    """One thing that is wrong with one field."""

    field: str = Field(examples=["text"])
    message: str = Field(examples=["String should have at least 1 character"])


class ProblemOut(BaseModel):
    """An error as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldErrorOut] | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of these statuses, each with all problems that it may be."""
    return {status: _response(status) for status in (*statuses, INTERNAL.status)}


def _response(status: int) -> dict[str, Any]:
    known = [
        problem
        for problem in (*PROBLEMS.values(), INTERNAL, METHOD_NOT_ALLOWED)
        if problem.status == status
    ]
    return {
        "description": " · ".join(f"`{problem.type}`: {problem.title}" for problem in known),
        "content": {
            MEDIA_TYPE: {
                "schema": ProblemOut.model_json_schema(),
                "examples": {
                    problem.type: {
                        "value": {
                            "type": problem.type,
                            "title": problem.title,
                            "status": problem.status,
                            "detail": problem.detail,
                            "request_id": "4f1c2d7e9a",
                        }
                    }
                    for problem in known
                },
            }
        },
    }
