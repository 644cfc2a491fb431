"""Checks answers against the JSON Schema that was asked for, whatever the provider promised."""

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs

from askonce.core.answers import Answer, FinishReason
from askonce.core.questions import Question
from askonce.core.replies import GrowingContent
from askonce.core.schemas import MAX_BYTES, SchemaRefusedError, check_shape

_MOST_COMPLAINTS = 10


def checked_schema(schema: dict[str, Any]) -> str:
    """Return a schema as JSON text that `fits` can use.

    Raises:
        SchemaRefusedError: says in a few words what is wrong with it.
    """
    try:
        written = json.dumps(schema, ensure_ascii=False, allow_nan=False)
        size = len(written.encode())
    except (ValueError, RecursionError) as error:
        message = "is not JSON, or nested too deep"
        raise SchemaRefusedError(message) from error
    if size > MAX_BYTES:
        message = f"is larger than {MAX_BYTES} bytes"
        raise SchemaRefusedError(message)
    check_shape(schema)
    try:
        _validator(written)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
        message = "is not a valid JSON Schema"
        raise SchemaRefusedError(message) from error
    return written


def fits(question: Question, answer: Answer) -> bool:
    """Return whether an answer may be given for a question: always, where no schema was asked for.

    A cut answer never fits, even where it happens to parse, unless it is a reply in a conversation
    that has come to say something.
    """
    return next(complaints(question, answer), None) is None


def complaints(question: Question, answer: Answer) -> Iterator[str]:
    """Yield what is wrong with an answer, in words for the model; the first few things."""
    if question.output_schema is None:
        return
    if answer.finish_reason is not FinishReason.STOP:
        # Of a reply what there is can be shown, and that is more than an error.
        if not (question.is_turn and GrowingContent().feed(answer.text).strip()):
            yield "It was cut."
        return
    try:
        data = json.loads(answer.text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        yield "It is not JSON."
        return
    for path, message in islice(faults(question.output_schema, data), _MOST_COMPLAINTS):
        place = "/".join(str(step) for step in path)
        yield f"at /{place}: {message}"
    if question.is_turn and isinstance(data, dict) and not str(data.get("content", "")).strip():
        yield "at /content: It is blank."


def faults(schema: str, data: Any) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield where `data` does not fit a schema, as the steps from its root, and how."""
    try:
        for error in _validator(schema).iter_errors(data):
            yield tuple(error.instance_path), error.message
    except ValueError:
        # Python reads four times as many levels as the validator.
        yield (), "It is nested too deep."


@lru_cache(maxsize=256)
def _validator(schema: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(
        json.loads(schema),
        retriever=_refuse_to_fetch,
        # Linear in time whatever the pattern: no regular expression can hang a worker.
        pattern_options=jsonschema_rs.RegexOptions(),
        validate_formats=True,
    )


def _refuse_to_fetch(uri: str) -> Any:
    del uri
    message = "schemas are never fetched"
    raise ValueError(message)


def _refuse_constant(name: str) -> Any:
    message = f"{name} is not JSON"
    raise ValueError(message)
