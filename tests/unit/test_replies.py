"""A reply's content: found in whole replies, and in beginnings of them, however they are cut."""

import json
from itertools import pairwise
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.answers import FinishReason, storable
from askonce.core.replies import REPLY_SCHEMA, GrowingContent, Reply, reply_of
from tests.examples import an_answer

# Also what no database can store: a model may say it in an escape.
contents = st.text(st.characters(codec="utf-16", categories=["L", "N", "P", "S", "Z", "C"]))
nested = st.recursive(
    st.none() | st.booleans() | st.floats(0, 1) | contents,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(contents, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def written_replies(draw: st.DrawFn) -> tuple[str, str]:
    """Return a reply as a model may write it, and its content."""
    content = draw(contents)
    others = draw(st.dictionaries(contents.filter(lambda key: key != "content"), nested))
    at = draw(st.integers(0, len(others)))
    items = [*others.items()]
    items.insert(at, ("content", content))
    text = json.dumps(
        dict(items), ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 2]))
    )
    before = draw(st.sampled_from(["", "\n", "```json\n", 'Here "it" is: ']))
    after = draw(st.sampled_from(["", "\n```", ' And "that" {is} it.']))
    return before + text + after, content


def in_pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[start:end] for start, end in pairwise(places)]


@given(written_replies(), st.lists(st.integers(0, 10_000), max_size=30))
def test_content_grows_to_the_whole_wherever_the_reply_is_cut(
    written: tuple[str, str], cuts: list[int]
) -> None:
    text, content = written
    growing = GrowingContent()

    shown = [growing.feed(piece) for piece in in_pieces(text, cuts)]

    assert "".join(shown) == storable(content)


@given(written_replies())
def test_content_grows_character_by_character_and_never_shrinks(written: tuple[str, str]) -> None:
    text, content = written
    growing = GrowingContent()
    so_far = ""

    for character in text:
        so_far += growing.feed(character)
        assert storable(content).startswith(so_far)

    assert so_far == storable(content)


@pytest.mark.parametrize(
    ("text", "content"),
    [
        (r'{"content": "\ud83d\ude00"}', "😀"),
        (r'{"content": "\ud83d"}', "�"),
        (r'{"content": "\ud83d!"}', "�!"),
        (r'{"content": "\ud83d\ud83d\ude00"}', "�😀"),
        (r'{"content": "\ude00\n"}', "�\n"),
        (r'{"content": "\ud83d\n"}', "�\n"),
        (r'{"content": "a\u0000b"}', "a�b"),
        (r'{"content": "\"\\\/\b\f\n\r\t"}', '"\\/\b\f\n\r\t'),
        (r'{"\u0063ontent": "by any name"}', "by any name"),
        ('{"x": {"content": "no"}, "content": "yes"}', "yes"),
        ('{"x": ["content", "no"], "content": "yes"}', "yes"),
        ('{"x": "content", "content": "yes"}', "yes"),
        ('{"content": {"content": "no"}}', ""),
        ('{"content": ["no"]}', ""),
        ('{"content": "yes", "content": 1}', "yes"),
        ('[1] {"content": "yes"}', "yes"),
        ("no JSON at all", ""),
    ],
)
def test_escapes_surrogates_and_odd_objects(text: str, content: str) -> None:
    whole, in_characters = GrowingContent(), GrowingContent()

    assert whole.feed(text) == content
    assert "".join(in_characters.feed(character) for character in text) == content


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("", ""),
        ('{"cont', ""),
        ('{"content": "Par', "Par"),
        ('{"content": "Par\\', "Par"),
        ('{"content": "Par\\u00e', "Par"),
        ('{"content": "Par\\ud83d', "Par"),
        ('{"content": "Paris.", "confi', "Paris."),
    ],
)
def test_of_a_reply_that_was_cut_there_is_what_had_come(text: str, content: str) -> None:
    cut = an_answer(text=text, finish_reason=FinishReason.LENGTH)

    assert reply_of(cut, is_structured=True) == Reply(content, None)


def test_a_whole_reply_has_content_and_confidence() -> None:
    whole = an_answer(text='{"content": "Par\\u0000is.", "confidence": 1}')

    assert reply_of(whole, is_structured=True) == Reply("Par�is.", 1.0)


@pytest.mark.parametrize("finish_reason", list(FinishReason))
def test_a_refusal_and_a_summary_are_all_content(finish_reason: FinishReason) -> None:
    said = an_answer(text="{No.", finish_reason=finish_reason)

    is_structured = finish_reason is FinishReason.REFUSAL
    assert reply_of(said, is_structured=is_structured) == Reply("{No.", None)


@pytest.mark.parametrize("confidence", [0, 0.5, 1, 1.0])
def test_the_schema_takes_content_and_a_confidence_from_0_to_1(confidence: float) -> None:
    reply = {"content": "Paris.", "confidence": confidence}

    assert jsonschema_rs.is_valid(json.loads(REPLY_SCHEMA), reply)


@pytest.mark.parametrize(
    "reply",
    [
        {"content": "Paris.", "confidence": 1.01},
        {"content": "Paris.", "confidence": -0.01},
        {"content": "Paris.", "confidence": "high"},
        {"content": "Paris.", "confidence": None},
        {"content": "Paris.", "confidence": True},
        {"content": "Paris."},
        {"content": None, "confidence": 1},
        {"content": "Paris.", "confidence": 1, "more": 1},
    ],
)
def test_the_schema_refuses_everything_else(reply: dict[str, Any]) -> None:
    assert not jsonschema_rs.is_valid(json.loads(REPLY_SCHEMA), reply)
