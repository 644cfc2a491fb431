"""Which schemas may be asked for, and which answers fit them."""

import json
from typing import Any

import pytest

from askonce.core.answers import FinishReason
from askonce.core.schemas import SchemaRefusedError
from askonce.services.structured import checked_schema, fits
from tests.examples import a_question as question
from tests.examples import an_answer as answer

SENTIMENT = {
    "type": "object",
    "properties": {"mood": {"enum": ["happy", "angry"]}, "score": {"$ref": "#/$defs/score"}},
    "required": ["mood"],
    "additionalProperties": False,
    "$defs": {"score": {"type": "number", "minimum": 0, "maximum": 1}},
}


def nested(levels: int) -> dict[str, Any]:
    return {"not": nested(levels - 1)} if levels else {}


def doubling(levels: int) -> dict[str, Any]:
    twice = {
        f"d{level}": {"allOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**twice, f"d{levels}": {"type": "string"}}}


@pytest.mark.parametrize("schema", [{}, {"type": "string"}, SENTIMENT, nested(16), doubling(5)])
def test_takes_schemas_as_people_write_them(schema: dict[str, Any]) -> None:
    assert json.loads(checked_schema(schema)) == schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": 5},
        {"minimum": "a"},
        {"pattern": "("},
        {"$ref": "https://example.org/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "other.json#/a"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"$ref": 5},
        {"$schema": "https://example.org/own-dialect"},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        nested(17),
        nested(900),
        doubling(15),
        doubling(100),
        {"enum": ["x" * 17_000]},
        {"minimum": 2**53},
        {"minimum": float("nan")},
        {"maximum": float("inf")},
        {"const": "\ud800"},
    ],
)
def test_refuses_what_could_be_a_bomb_or_a_way_out(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaRefusedError):
        checked_schema(schema)


@pytest.mark.parametrize(
    ("said", "is_fit"),
    [
        ('{"mood": "happy"}', True),
        ('{"mood": "happy", "score": 0.5}', True),
        ('{"mood": "happy", "score": 1.5}', False),
        ('{"mood": "sad"}', False),
        ("{}", False),
        ('{"mood": "happy", "more": 1}', False),
        ("happy", False),
        ("", False),
        ('{"mood": NaN}', False),
        ('{"mood": "happy"', False),
        ("[" * 100_000, False),
    ],
)
def test_an_answer_fits_or_does_not(said: str, *, is_fit: bool) -> None:
    asked = question(output_schema=checked_schema(SENTIMENT))

    assert fits(asked, answer(text=said)) is is_fit


@pytest.mark.parametrize("levels", [900, 100_000])
def test_an_answer_that_is_nested_without_end_does_not_fit_and_breaks_nothing(levels: int) -> None:
    said = "[" * levels + "]" * levels
    asked = question(output_schema=checked_schema({"type": "object"}))

    assert not fits(asked, answer(text=said))


def test_a_cut_answer_never_fits() -> None:
    asked = question(output_schema=checked_schema(SENTIMENT))
    cut = answer(text='{"mood": "happy"}', finish_reason=FinishReason.LENGTH)

    assert not fits(asked, cut)


def test_a_pattern_cannot_hold_up_a_worker() -> None:
    asked = question(output_schema=checked_schema({"pattern": "^(a+)+$"}))

    assert not fits(asked, answer(text=json.dumps("a" * 50_000 + "!")))


def test_without_a_schema_everything_fits() -> None:
    assert fits(question(), answer(finish_reason=FinishReason.LENGTH))
