"""Writes docs/configuration.md: what can be set, as config.py has it and .env.example explains it.

Run it with `python -m docs.settings`; a test says when that has to be done.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from askonce.config import PREFIX, Remote, Settings

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / ".env.example"
PAGE = ROOT / "docs" / "configuration.md"

_SETTING = re.compile("#?([A-Z_]+)=(.*)")
_HEAD = """\
# Configuration

<!-- Written by docs/settings.py from config.py and .env.example: change those. -->

Settings come from the environment, else from a file `.env` in the folder in which askonce is \
started. An empty one counts as not set. A wrong one stops the start with one line that names it; \
an `ASKONCE_` name that does not exist is pointed out.
"""


@dataclass(slots=True)
class Group:
    """Settings that one comment explains."""

    comment: str
    examples: dict[str, str] = field(default_factory=dict)


def main() -> None:
    PAGE.write_text(page())


def page() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *map(_section, groups())])


def groups() -> list[Group]:
    """Return the settings of .env.example in their order, each with the value shown there."""
    found: list[Group] = []
    comment: list[str] = []
    for line in EXAMPLE.read_text().splitlines():
        setting = _SETTING.fullmatch(line)
        if setting is None:
            comment = [*comment, line[2:]] if line.startswith("# ") else []
            continue
        if comment or not found:
            found.append(Group(" ".join(comment)))
            comment = []
        found[-1].examples[setting[1]] = setting[2]
    return found


def defaults() -> dict[str, Any]:
    """Return the default of each setting, by the name that it has in the environment."""
    return {
        variable(name, info.validation_alias): info.default
        for model in (Settings, Remote)
        for name, info in model.model_fields.items()
    }


def variable(name: str, alias: Any) -> str:
    """Return what a field of Settings is called in the environment."""
    first = alias if isinstance(alias, str) else getattr(alias, "choices", [None])[0]
    return str(first or f"{PREFIX}{name.upper()}")


def _section(group: Group) -> str:
    known = defaults()
    takes = _takes()
    lines = [group.comment, "", "| setting | default | takes |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {_shown(known.get(name))} | {takes.get(name, '')} |"
        for name in group.examples
    ]
    return "\n".join([*lines, ""])


def _shown(default: Any) -> str:
    if default in (None, (), {}, ""):
        return ""
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _takes() -> dict[str, str]:
    """Return what each setting accepts, in a few words."""
    # By field names: some have several names in the environment.
    return {
        variable(name, info.validation_alias): _words(
            model.model_json_schema(by_alias=False)["properties"][name]
        )
        for model in (Settings, Remote)
        for name, info in model.model_fields.items()
    }


def _words(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return next(_words(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") in ("integer", "number"):
        kind = "a whole number" if schema["type"] == "integer" else "a number"
        return f"{kind}{_bounds(schema)}"
    return {"array": "a list, separated by commas", "object": "pairs, separated by commas"}.get(
        schema.get("type", ""), "text"
    )


def _bounds(schema: dict[str, Any]) -> str:
    low = f" from {schema['minimum']:g}" if "minimum" in schema else ""
    if "exclusiveMinimum" in schema:
        low = f" above {schema['exclusiveMinimum']:g}"
    return f"{low} to {schema['maximum']:.10g}" if "maximum" in schema else low


if __name__ == "__main__":
    main()
