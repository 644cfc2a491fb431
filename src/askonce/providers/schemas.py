"""Which JSON Schemas a vendor enforces itself; what it would refuse or bend is only asked for."""

import json
from collections.abc import Mapping
from typing import Any, Final

# https://platform.openai.com/docs/guides/structured-outputs#supported-schemas
_STRICT_KEYWORDS: Final = frozenset(
    {"type", "title", "description", "enum", "const", "anyOf", "$ref", "$defs"}
    | {"properties", "required", "additionalProperties", "items", "minItems", "maxItems"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"pattern", "format"}
)


def is_strict(schema: Any) -> bool:
    """Return whether OpenAI's strict mode takes `schema` as it is; else it answers 400."""
    return _is_object(schema) and "anyOf" not in schema and _is_strict(schema)


def is_closed(schema: Any) -> bool:
    """Return whether no object of `schema` may have properties that it does not name.

    Claude closes every object: one that lives from its unnamed properties would come back empty.
    """
    if isinstance(schema, list):
        return all(is_closed(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    if _is_object(schema) and (
        not schema.get("properties") or isinstance(schema.get("additionalProperties"), dict)
    ):
        return False
    return all(is_closed(part) for part in schema.values())


def as_instruction(instructions: str | None, schema: Mapping[str, Any]) -> str:
    """Return `instructions` with the wish for JSON that fits `schema` at their end."""
    wish = (
        "Answer with one JSON value that fits this JSON Schema, and with nothing else: no code "
        f"fence, no explanation.\n{json.dumps(schema, ensure_ascii=False)}"
    )
    return wish if instructions is None else f"{instructions}\n\n{wish}"


def _is_object(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.get("type") == "object"


def _is_strict(schema: Any) -> bool:
    if not isinstance(schema, dict) or not schema.keys() <= _STRICT_KEYWORDS:
        return False
    named = schema.get("properties", {})
    if "properties" in schema or _is_object(schema):
        if schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required", ())) != set(named):
            return False
    parts = [*named.values(), *schema.get("$defs", {}).values(), *schema.get("anyOf", ())]
    if "items" in schema:
        parts.append(schema["items"])
    return all(_is_strict(part) for part in parts)
