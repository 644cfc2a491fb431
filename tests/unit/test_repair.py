"""What may be mended without a call, and what another call is told."""

import json
from decimal import Decimal

import pytest

from askonce.core.answers import FinishReason
from askonce.core.replies import REPLY_SCHEMA
from askonce.services.repair import asked_again, mended, together
from askonce.services.structured import checked_schema
from tests.examples import a_question as question
from tests.examples import an_answer as answer

MOOD = question(
    output_schema=checked_schema(
        {
            "type": "object",
            "properties": {"mood": {"enum": ["happy", "angry"]}},
            "required": ["mood"],
            "additionalProperties": False,
        }
    )
)
GOOD = '{"mood": "angry"}'


@pytest.mark.parametrize(
    "said",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```\n",
        f"Here you are:\n\n{GOOD}\n\nAnything else?",
        f"Not {{this}} but {GOOD}.",
        f"{GOOD} as I said: {GOOD}",
        f'{{"mood": "sad"}} no, rather {GOOD}',
        "{" * 30 + GOOD,
    ],
)
def test_json_is_taken_out_of_what_it_is_wrapped_in(said: str) -> None:
    fitting = mended(MOOD, answer(text=said))

    assert fitting is not None
    assert json.loads(fitting.text) == {"mood": "angry"}


@pytest.mark.parametrize(
    "said",
    [
        "",
        "angry",
        '{"mood": "sad"}',
        '{"mood": "angry"',
        '{"mood": "angry"} or {"mood": "happy"}',
        '{"answer": {"mood": "angry"}}',
        "[" * 100_000,
        "{" * 100_000,
    ],
)
def test_nothing_is_guessed(said: str) -> None:
    assert mended(MOOD, answer(text=said)) is None


def test_a_cut_answer_is_not_mended() -> None:
    assert mended(MOOD, answer(text=GOOD, finish_reason=FinishReason.LENGTH)) is None


def test_a_refusal_needs_no_mending() -> None:
    refusal = answer(text="No.", finish_reason=FinishReason.REFUSAL)

    assert mended(MOOD, refusal) is refusal


def test_the_second_question_says_what_was_wrong_with_the_first_answer() -> None:
    again = asked_again(MOOD, answer(text='{"mood": "sad"}'))

    assert again.text.startswith(MOOD.text)
    assert '{"mood": "sad"}' in again.text
    assert "at /mood:" in again.text
    assert again.output_schema == MOOD.output_schema


@pytest.mark.parametrize(("cost", "sum_"), [(Decimal("0.1"), Decimal("0.100213")), (None, None)])
def test_producing_an_answer_took_all_that_was_spent_on_it(
    cost: Decimal | None, sum_: Decimal | None
) -> None:
    whole = together(answer(), answer(tokens_in=1, tokens_out=2, cost=cost))

    assert (whole.tokens_in, whole.tokens_out, whole.cost) == (121, 25, sum_)


TURN = question(output_schema=REPLY_SCHEMA, messages=())
CUT = FinishReason.LENGTH


def test_a_reply_that_was_cut_is_given_with_what_there_is_of_it() -> None:
    cut = answer(text='{"content": "Paris is', finish_reason=CUT)

    assert mended(TURN, cut) == cut


@pytest.mark.parametrize("said", ["", "{", '{"content": "', '{"content": " ', '{"confidence": 1'])
def test_a_reply_that_was_cut_before_it_said_anything_is_not_given(said: str) -> None:
    assert mended(TURN, answer(text=said, finish_reason=CUT)) is None


def test_a_blank_reply_is_not_given() -> None:
    assert mended(TURN, answer(text='{"content": " \\n", "confidence": 1}')) is None


def test_a_reply_with_a_confidence_out_of_range_is_asked_for_again() -> None:
    unsure = answer(text='{"content": "Paris.", "confidence": 90}')

    again = asked_again(TURN, unsure)

    assert mended(TURN, unsure) is None
    assert again.messages == TURN.messages
    assert "/confidence" in again.text
