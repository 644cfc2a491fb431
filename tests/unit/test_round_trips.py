"""What is written and read back is the same, and what differs is told apart, for whatever comes."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from askonce.core.errors import MalformedRequestError, NotFoundError
from askonce.core.questions import Question, Scope
from askonce.http.parameters import (
    before_id_of,
    cursor_to,
    cursor_to_place,
    id_of,
    place_of,
)
from tests.examples import a_question

IDS = st.integers(1, 2**63 - 1)
# Since 1970, and as precise as the databases are.
MOMENTS = st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)
QUESTIONS = st.builds(
    a_question,
    text=TEXTS,
    model=NAMES,
    instructions=st.none() | TEXTS,
    max_output_tokens=st.integers(1, 10**6),
    output_schema=st.none() | st.dictionaries(TEXTS, JSON).map(json.dumps),
)
SCOPES = st.builds(Scope, tenant=NAMES, user_id=st.none() | NAMES)


@given(IDS)
def test_ids_and_cursors_come_back(number: int) -> None:
    cursor = cursor_to(number)

    assert id_of(str(number)) == number
    assert before_id_of(cursor) == number


@given(MOMENTS, IDS)
def test_places_in_a_list_come_back(moment: datetime, number: int) -> None:
    assert place_of(cursor_to_place(moment, number)) == (moment, number)


@given(st.text())
def test_what_is_no_id_is_not_found_and_what_is_one_has_one_spelling(written: str) -> None:
    try:
        assert str(id_of(written)) == written
    except NotFoundError:
        assert not (written.isascii() and written.isdigit() and 0 < int(written) < 2**63) or (
            written.startswith("0")
        )


CURSORS = st.text() | IDS.map(cursor_to) | st.builds(cursor_to_place, MOMENTS, IDS)


@given(CURSORS)
def test_a_cursor_is_ours_or_refused(written: str) -> None:
    try:
        assert cursor_to(before_id_of(written)) == written
    except MalformedRequestError:
        return


@given(CURSORS)
def test_a_place_in_a_list_is_ours_or_refused(written: str) -> None:
    try:
        place = place_of(written)
    except MalformedRequestError:
        return
    assert place is not None
    assert cursor_to_place(*place) == written


@given(QUESTIONS, SCOPES, QUESTIONS, SCOPES)
def test_two_questions_have_one_fingerprint_only_where_they_are_one(
    one: Question, here: Scope, other: Question, there: Scope
) -> None:
    is_same = (_meaning(one), here) == (_meaning(other), there)

    assert (one.fingerprint(here) == other.fingerprint(there)) == is_same


@given(QUESTIONS, st.sampled_from(["text", "model", "provider", "instructions"]), TEXTS)
def test_no_field_is_left_out_and_no_border_between_fields_is_blurred(
    one: Question, name: str, value: str
) -> None:
    facts = {field: getattr(one, field) for field in _FIELDS}
    scope = Scope(tenant="default", user_id=None)

    other = Question(**facts | {name: value})

    assert (one.fingerprint(scope) == other.fingerprint(scope)) == (facts[name] == value)


@given(st.dictionaries(TEXTS, JSON, min_size=2))
def test_the_order_of_a_schemas_keys_does_not_count(schema: dict[str, Any]) -> None:
    scope = Scope(tenant="default", user_id=None)
    backwards = dict(reversed(schema.items()))

    first = a_question(output_schema=json.dumps(schema))
    second = a_question(output_schema=json.dumps(backwards))

    assert first.fingerprint(scope) == second.fingerprint(scope)


_FIELDS = (
    "text",
    "provider",
    "model",
    "max_output_tokens",
    "instructions",
    "output_schema",
    "fallbacks",
    "messages",
)


def _meaning(question: Question) -> tuple[object, ...]:
    schema = question.output_schema
    facts = tuple(getattr(question, name) for name in _FIELDS if name != "output_schema")
    # True and 1 are equal in Python, and not in JSON.
    return (*facts, None if schema is None else json.dumps(json.loads(schema), sort_keys=True))
