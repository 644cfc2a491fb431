"""Which schemas a vendor enforces as they are."""

from typing import Any

import pytest

from askonce.providers.schemas import as_instruction, is_closed, is_strict


def an_object(**changes: Any) -> dict[str, Any]:
    """Return a schema in the strict subset, changed."""
    facts: dict[str, Any] = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    return facts | changes


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(an_object(), id="object"),
        pytest.param(an_object(properties={"a": an_object()}), id="object in object"),
        pytest.param(
            an_object(properties={"a": {"type": "array", "items": an_object()}}), id="array"
        ),
        pytest.param(
            an_object(properties={"a": {"$ref": "#/$defs/b"}}, **{"$defs": {"b": {"enum": ["x"]}}}),
            id="definition",
        ),
        pytest.param(
            an_object(properties={"a": {"anyOf": [{"type": "null"}, an_object()]}}), id="anyOf"
        ),
        pytest.param(
            an_object(properties={"type": {"type": "string"}}, required=["type"]),
            id="property called type",
        ),
    ],
)
def test_the_strict_subset_is_recognised(schema: dict[str, Any]) -> None:
    assert is_strict(schema)


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "string"}, id="no object at the root"),
        pytest.param(an_object(anyOf=[an_object()]), id="anyOf at the root"),
        pytest.param(an_object(required=[]), id="optional property"),
        pytest.param(an_object(additionalProperties=True), id="open"),
        pytest.param({"type": "object"}, id="nothing said"),
        pytest.param(an_object(properties={"a": {"type": "object"}}), id="open inside"),
        pytest.param(
            an_object(properties={"a": {"type": "array", "items": {"type": "object"}}}),
            id="open in an array",
        ),
        pytest.param(
            an_object(properties={"a": {"anyOf": [{"type": "object"}]}}), id="open in anyOf"
        ),
        pytest.param(an_object(**{"$defs": {"b": {"type": "object"}}}), id="open definition"),
        pytest.param(an_object(properties={"a": {"allOf": []}}), id="keyword it refuses"),
        pytest.param(an_object(properties={"a": True}), id="boolean schema"),
    ],
)
def test_what_strict_mode_would_refuse_is_not_strict(schema: dict[str, Any]) -> None:
    assert not is_strict(schema)


def test_an_object_that_lives_from_unnamed_properties_is_not_closed() -> None:
    assert is_closed(an_object())
    assert is_closed(an_object(additionalProperties=True))
    assert not is_closed({"type": "object", "additionalProperties": {"type": "number"}})
    assert not is_closed(an_object(properties={"a": {"anyOf": [{"type": "object"}]}}))


def test_instructions_keep_their_place_before_the_wish_for_json() -> None:
    asked = as_instruction("Be brief.", {"type": "string", "title": "né"})

    assert asked.startswith("Be brief.\n\nAnswer with one JSON value")
    assert asked.endswith('{"type": "string", "title": "né"}')
    assert as_instruction(None, {}).startswith("Answer with one JSON value")
