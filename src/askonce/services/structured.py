"""Checks answers against the JSON Schema that was asked for, whatever the provider promised."""

import json
from functools import lru_cache
from typing import Any

import jsonschema_rs

from askonce.core.answers import Answer, FinishReason
from askonce.core.questions import Question
from askonce.core.schemas import MAX_BYTES, SchemaRefusedError, check_shape


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

    A cut answer never fits, even where it happens to parse.
    """
    if question.output_schema is None:
        return True
    if answer.finish_reason is not FinishReason.STOP:
        return False
    try:
        data = json.loads(answer.text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return _validator(question.output_schema).is_valid(data)


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
