"""Reads a spec from TOML, and names what is wrong with one by line and field."""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from askonce.core.schemas import SchemaRefusedError
from askonce.evaluation.checks import shown
from askonce.evaluation.expecting import checks_of
from askonce.evaluation.faults import Fault, SpecError
from askonce.evaluation.schemas import schema_text
from askonce.evaluation.spec import Criterion, Prompt, Spec, digest_of
from askonce.services.structured import checked_schema, faults

SPEC_SCHEMA = schema_text("spec.schema.json")
MAX_BYTES = 4 * 1024 * 1024
# RFC 8785 section 3.2.2.3: beyond 2^53 two different integers are the same JSON number.
_LARGEST_NUMBER = 2**53 - 1
_BEGINS_PROMPT = re.compile(r"\s*\[\[\s*(?:prompts|\"prompts\"|'prompts')\s*\]\]")
# What stands beside the prompts in a spec and holds for each that says nothing else.
_SHARED = ("instructions", "max_output_tokens")
# What must be the same for scores to be comparable; the rest is what one tries out.
_MEASURED = ("id", "text", "reference", "expect")


def read_spec(path: Path) -> Spec:
    """Return the spec in a file.

    Raises:
        SpecError: it cannot be used; says where and why.
    """
    text = _text_of(path)
    facts = _parsed(text)
    lines = _lines_of_prompts(text, facts)
    found = list(_odd_values(facts, ())) or list(_misfits(facts))
    if not found:
        found = list(_repeated(facts))
    if found:
        raise SpecError([one.placed(facts, lines) for one in found])
    return _spec(facts, lines)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SpecError([Fault((), f"cannot be read: {error.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        raise SpecError([Fault((), f"is larger than {MAX_BYTES} bytes")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise SpecError([Fault((), "is not UTF-8", line)]) from None


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError([Fault((), f"is not TOML: {error}")]) from None
    except RecursionError:
        raise SpecError([Fault((), "is nested too deep")]) from None
    except ValueError:
        # What Python says of a number with thousands of digits is about Python.
        raise SpecError([Fault((), "has a number with too many digits")]) from None


def _lines_of_prompts(text: str, facts: Mapping[str, Any]) -> list[int]:
    """Return in which line each prompt begins; nothing where that is not clear."""
    lines = [
        number for number, line in enumerate(text.splitlines(), 1) if _BEGINS_PROMPT.match(line)
    ]
    prompts = facts.get("prompts")
    return lines if isinstance(prompts, list) and len(prompts) == len(lines) else []


def _odd_values(value: Any, path: tuple[str | int, ...]) -> Iterator[Fault]:
    """Yield what TOML allows and JSON or the service does not."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _odd_values(one, (*path, name))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _odd_values(one, (*path, number))
    elif isinstance(value, str):
        if "\0" in value:
            yield Fault(path, "has a NUL character")
    elif not isinstance(value, int | float):
        yield Fault(path, "is a date or a time: put it into quotation marks")
    elif not (math.isfinite(value) and abs(value) <= _LARGEST_NUMBER):
        yield Fault(path, "is a number that JSON cannot carry exactly")


def _misfits(facts: Mapping[str, Any]) -> Iterator[Fault]:
    for path, message in faults(SPEC_SCHEMA, facts):
        yield Fault(path, message)


def _repeated(facts: Mapping[str, Any]) -> Iterator[Fault]:
    seen: set[str] = set()
    for number, prompt in enumerate(facts["prompts"]):
        if prompt["id"] in seen:
            yield Fault(("prompts", number, "id"), f"{shown(prompt['id'])} is there already")
        seen.add(prompt["id"])


def _spec(facts: Mapping[str, Any], lines: list[int]) -> Spec:
    rubric = {
        name: Criterion(name, one["question"], tuple(one["levels"]))
        for name, one in facts.get("rubric", {}).items()
    }
    shared = {name: facts[name] for name in _SHARED if name in facts}
    prompts, found = [], []
    for number, own in enumerate(facts["prompts"]):
        try:
            prompts.append(_prompt({**shared, **own}, rubric))
        except SpecError as error:
            place = ("prompts", number)
            found += [Fault((*place, *one.path), one.message) for one in error.faults]
    if found:
        raise SpecError([one.placed(facts, lines) for one in found])
    return Spec(name=facts["name"], prompts=tuple(prompts), digest=digest_of(facts))


def _prompt(facts: Mapping[str, Any], rubric: Mapping[str, Criterion]) -> Prompt:
    for number, name in enumerate(facts.get("criteria", ())):
        if name not in rubric:
            raise SpecError([Fault(("criteria", number), f"{shown(name)} is not in the rubric")])
    criteria = [rubric[name] for name in facts.get("criteria", rubric)]
    if "output_schema" in facts:
        try:
            checked_schema(facts["output_schema"])
        except SchemaRefusedError as error:
            raise SpecError([Fault(("output_schema",), str(error))]) from None
    levels = [[one.name, one.question, list(one.levels)] for one in criteria]
    measured = {name: facts.get(name) for name in _MEASURED}
    return Prompt(
        id=facts["id"],
        text=facts["text"],
        instructions=facts.get("instructions"),
        max_output_tokens=facts.get("max_output_tokens"),
        output_schema=facts.get("output_schema"),
        reference=facts.get("reference"),
        criteria=tuple(criteria),
        checks=tuple(checks_of(facts["expect"])),
        digest=digest_of([measured, levels]),
    )
