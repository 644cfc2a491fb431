"""Reading specs: what is wrong with one is named by line and field."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.evaluation.faults import SpecError
from askonce.evaluation.reading import MAX_BYTES, SPEC_SCHEMA, read_spec

ROOT = Path(__file__).parents[2]
GOOD = """\
name = "s"

[rubric.tone]
question = "Polite?"
levels = ["1", "2", "3", "4", "5"]

[[prompts]]
id = "first"
text = "Hello?"
expect = { contains = ["hello"] }

[[prompts]]
id = "second"
text = "Hello?"
expect = { numbers = [{ near = 1.5 }] }
"""


def said_of(folder: Path, text: str | bytes) -> str:
    """Return what is said of a spec that cannot be used."""
    path = folder / "spec.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        read_spec(path)
    return str(caught.value)


def test_the_samples_are_twenty_and_can_be_used() -> None:
    spec = read_spec(ROOT / "evals" / "samples.toml")

    assert len(spec.prompts) == 20
    assert {one.name for prompt in spec.prompts for one in prompt.criteria} == {
        "accuracy",
        "tone",
        "actionability",
    }
    assert len({prompt.id.rpartition("-")[2] for prompt in spec.prompts}) >= 8
    assert any(prompt.output_schema for prompt in spec.prompts)
    assert any("injection" in prompt.id for prompt in spec.prompts)
    assert max(len(prompt.text) for prompt in spec.prompts) > 8000


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "s"', 'name = "s', "is not TOML: Illegal character"),
        ('name = "s"', "name = 5", "name: 5 is not of type"),
        ('name = "s"', 'nam = "s"', "'nam' was unexpected"),
        ('id = "second"', 'id = "first"', 'line 12: prompts[1].id (first): "first" is there'),
        ('id = "second"', "id = 2", "line 12: prompts[1].id: 2 is not of type"),
        ('id = "second"', 'id = "../x"', "prompts[1].id (../x): "),
        ('text = "Hello?"', 'text = ""', "line 7: prompts[0].text (first): "),
        ('text = "Hello?"', 'text = "a\\u0000b"', "prompts[0].text (first): has a NUL character"),
        ('text = "Hello?"', "text = 2026-01-01", "prompts[0].text (first): is a date"),
        ('text = "Hello?"', "txt = 1", "prompts[0] (first): "),
        (
            "near = 1.5",
            "near = nan",
            "prompts[1].expect.numbers[0].near (second): is a number that",
        ),
        ("near = 1.5", "near = 1e400", "is a number that JSON cannot carry"),
        ("near = 1.5", 'near = "1.5"', "prompts[1].expect.numbers[0].near (second): "),
        ("near = 1.5", f"near = {'9' * 5000}", "has a number with too many digits"),
        ("near = 1.5", "near = 1, tolerance = -1", "numbers[0].tolerance (second): "),
        ('contains = ["hello"]', "", "prompts[0].expect (first): "),
        ('contains = ["hello"]', 'contains = "hello"', "expect.contains (first): "),
        ('contains = ["hello"]', 'contains = ["\\u200b"]', "has nothing that can be seen"),
        ('contains = ["hello"]', "matches = ['a(?=b)']", "expect.matches[0] (first): is not a reg"),
        ('contains = ["hello"]', "matches = ['(a{999}){999}']", "expect.matches[0] (first): "),
        ('contains = ["hello"]', 'fields = [{ at = "/a" }]', "needs exactly one of equals, one_of"),
        ('contains = ["hello"]', 'fields = [{ at = "a", equals = 1 }]', "expect.fields[0].at"),
        (
            'contains = ["hello"]',
            'schema = { type = "strin" }',
            "expect.schema (first): is not a v",
        ),
        ('contains = ["hello"]', 'schema = { "$ref" = "http://x/" }', "may only refer to its own"),
        ('contains = ["hello"]', "min_words = 2, max_words = 1", "min_words (first): is more than"),
        ('"4", "5"]', '"4"]', "rubric.tone.levels: "),
        ('id = "first"', 'id = "first"\ncriteria = ["taste"]', '"taste" is not in the rubric'),
        ('id = "first"', 'id = "first"\noutput_schema = { type = 1 }', "output_schema (first): "),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, says: str, tmp_path: Path) -> None:
    assert says in said_of(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", '"name" is a required property'),
        (b"a = 1\nb = '\xff'", "line 2: is not UTF-8"),
        (b'name = "a\0b"', "is not TOML: Illegal character '\\x00' (at line 1"),
        (b'{"name": "json"}', "is not TOML: Invalid statement (at line 1"),
        (b"a = " + b"[" * 100_000, "is nested too deep"),
        (b"#" * (MAX_BYTES + 1), "is larger than"),
        (b'name = "s"\nprompts = 5', "prompts: 5 is not of type"),
        (b'name = "s"\nprompts = [5]', "prompts[0]: 5 is not of type"),
    ],
)
def test_what_is_no_spec_at_all_is_named(text: bytes, says: str, tmp_path: Path) -> None:
    assert says in said_of(tmp_path, text)


def test_what_is_wrong_is_told_shortly_and_without_control_characters(tmp_path: Path) -> None:
    fault = f'id = "\\u001b[31m{"x" * 10_000}"'
    said = said_of(tmp_path, GOOD.replace('id = "second"', fault))

    assert len(said) < 1000
    assert said.isprintable()


def test_a_spec_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file"):
        read_spec(tmp_path / "none.toml")
    with pytest.raises(SpecError, match="cannot be read: Is a directory"):
        read_spec(tmp_path)


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_nothing_but_a_spec_is_read_and_nothing_else_raised(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text)
    with pytest.raises(SpecError):
        read_spec(path)


def test_what_is_scored_decides_which_runs_can_be_compared(tmp_path: Path) -> None:
    def digests(text: str) -> Any:
        path = tmp_path / "spec.toml"
        path.write_text(text)
        spec = read_spec(path)
        return spec.digest, *(prompt.digest for prompt in spec.prompts)

    before = digests(GOOD)
    tried = digests(GOOD.replace('name = "s"', 'name = "s"\ninstructions = "Be brief."'))
    scored = digests(GOOD.replace('["hello"]', '["hi"]'))

    assert digests(f"# a comment\n{GOOD}") == before
    assert (tried[0] == before[0], tried[1:] == before[1:]) == (False, True)
    assert [one == other for one, other in zip(scored, before, strict=True)] == [False, False, True]


def fields_of(node: Any) -> Iterator[str]:
    """Yield the name of each field that a schema has anywhere."""
    if isinstance(node, dict):
        yield from node.get("properties", {})
        for child in node.values():
            yield from fields_of(child)


def test_the_page_tells_of_every_field() -> None:
    page = (ROOT / "docs" / "evaluation.md").read_text()
    named = set(fields_of(json.loads(SPEC_SCHEMA)))

    assert {"prompts", "any_of", "tolerance", "levels"} <= named
    assert [name for name in sorted(named) if f"`{name}`" not in page] == []
