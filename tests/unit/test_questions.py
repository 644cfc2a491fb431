"""The fingerprint: everything that can change an answer is in it, and nothing else."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from askonce.core.conversations import Role, Spoken
from askonce.core.questions import Question, Scope
from tests.examples import a_question as question

TENANT = Scope(tenant="default")
texts = st.text(st.characters(codec="utf-8"))


@given(
    texts,
    st.none() | texts,
    texts,
    st.integers(1, 10**6),
    st.lists(st.sampled_from(["openai", "local"]), max_size=2, unique=True),
)
def test_the_fingerprint_is_sha256_of_rfc_8785_json(
    text: str, instructions: str | None, model: str, tokens: int, fallbacks: list[str]
) -> None:
    asked = question(
        text=text,
        instructions=instructions,
        model=model,
        max_output_tokens=tokens,
        fallbacks=tuple(fallbacks),
    )

    # Without fallbacks the fingerprint is what it was before there were any.
    canonical = rfc8785.dumps(
        ({"fallbacks": fallbacks} if fallbacks else {})
        | {
            "askonce": 1,
            "for": ["default", None],
            "instructions": instructions,
            "max_output_tokens": tokens,
            "model": model,
            "output_schema": None,
            "provider": "claude",
            "text": text,
        }
    )
    assert asked.fingerprint(TENANT) == hashlib.sha256(canonical).digest()


@pytest.mark.parametrize(
    "change",
    [
        {"text": "what is a cache?"},
        {"text": " What is a cache?"},
        {"text": "What is a cache?\n"},
        {"provider": "openai"},
        {"model": "claude-sonnet-5-5"},
        {"max_output_tokens": 1023},
        {"instructions": "Be brief."},
        {"output_schema": "{}"},
        {"fallbacks": ("openai",)},
        {"messages": ()},
        {"messages": (Spoken(Role.USER, "Hello."),)},
    ],
)
def test_whatever_can_change_an_answer_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert question().fingerprint(TENANT) != question(**change).fingerprint(TENANT)


def test_no_field_of_a_question_is_left_out_of_the_fingerprint() -> None:
    known = {
        "text",
        "provider",
        "model",
        "max_output_tokens",
        "instructions",
        "output_schema",
        "fallbacks",
        "messages",
    }

    assert set(Question.__slots__) == known


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=4))
def test_a_conversation_is_in_the_fingerprint_as_canonical_json_too(
    said: list[tuple[str, str]],
) -> None:
    asked = question(messages=tuple(Spoken(Role(role), content) for role, content in said))

    canonical = rfc8785.dumps(
        {
            "askonce": 1,
            "for": ["default", None],
            "instructions": None,
            "max_output_tokens": asked.max_output_tokens,
            "messages": [list(one) for one in said],
            "model": asked.model,
            "output_schema": None,
            "provider": asked.provider,
            "text": asked.text,
        }
    )
    assert asked.fingerprint(TENANT) == hashlib.sha256(canonical).digest()


def test_who_said_something_changes_the_fingerprint() -> None:
    one = question(messages=(Spoken(Role.USER, "Yes."), Spoken(Role.ASSISTANT, "No.")))
    other = question(messages=(Spoken(Role.USER, "Yes."), Spoken(Role.USER, "No.")))

    assert one.fingerprint(TENANT) != other.fingerprint(TENANT)


def test_composed_and_decomposed_characters_are_different_texts() -> None:
    composed, decomposed = question(text="\u00e9"), question(text="e\u0301")

    assert composed.fingerprint(TENANT) != decomposed.fingerprint(TENANT)


def test_tenants_and_users_have_their_own_answers() -> None:
    scopes = [TENANT, Scope(tenant="other"), Scope(tenant="default", user_id="alice")]

    assert len({question().fingerprint(scope) for scope in scopes}) == len(scopes)


def test_the_spelling_of_a_schema_does_not_count() -> None:
    one = question(output_schema=json.dumps({"type": "number", "minimum": 1.0}))
    other = question(output_schema=json.dumps({"minimum": 1, "type": "number"}, indent=2))

    assert one.fingerprint(TENANT) == other.fingerprint(TENANT)


def test_fields_cannot_be_shifted_into_each_other() -> None:
    one = question(instructions='a","model":"b', model="c")
    other = question(instructions="a", model='b","model":"c')

    assert one.fingerprint(TENANT) != other.fingerprint(TENANT)


def test_a_question_does_not_show_what_was_asked() -> None:
    assert "cache" not in repr(question(instructions="cache", output_schema='{"title": "cache"}'))
