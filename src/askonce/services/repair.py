"""Mends an answer that does not fit its schema: without a call where that is safe."""

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from askonce.core.answers import Answer, FinishReason
from askonce.core.questions import Question
from askonce.services.structured import complaints, fits

_MOST_CANDIDATES = 50
_QUOTED_CHARACTERS = 20_000


def mended(question: Question, answer: Answer) -> Answer | None:
    """Return the answer as it may be given, or None where only another call could help.

    Models wrap JSON into fences and prose. What is wrapped is taken out where exactly one part
    fits: to choose between two would be a guess. A refusal needs to fit nothing.
    """
    if answer.finish_reason is FinishReason.REFUSAL or fits(question, answer):
        return answer
    parts = {
        part: None
        for part in _json_parts(answer.text)
        if fits(question, replace(answer, text=part))
    }
    return replace(answer, text=next(iter(parts))) if len(parts) == 1 else None


def asked_again(question: Question, answer: Answer) -> Question:
    """Return the question again, with what was wrong with its answer."""
    wrong = "\n".join(f"- {complaint}" for complaint in complaints(question, answer))
    said = answer.text[:_QUOTED_CHARACTERS]
    text = (
        f"{question.text}\n\n---\nThis was answered before, but the answer does not fit the JSON"
        f" Schema that it must fit.\n\nThe answer was:\n{said}\n\nWhat is wrong with it:\n{wrong}"
        "\n\nAnswer again, with JSON that fits the schema and nothing else."
    )
    return replace(question, text=text)


def together(answer: Answer, spent: Answer) -> Answer:
    """Return an answer with what was spent on the one before added to its own."""
    is_known = answer.cost is not None and spent.cost is not None
    return replace(
        answer,
        tokens_in=answer.tokens_in + spent.tokens_in,
        tokens_out=answer.tokens_out + spent.tokens_out,
        cost=(answer.cost or Decimal(0)) + (spent.cost or Decimal(0)) if is_known else None,
    )


def _json_parts(text: str) -> Iterator[str]:
    """Yield the objects and arrays that stand in a text, the outermost ones only."""
    decoder = json.JSONDecoder()
    position = 0
    for _ in range(_MOST_CANDIDATES):
        starts = [start for start in (text.find(c, position) for c in "{[") if start >= 0]
        if not starts:
            return
        start = min(starts)
        try:
            _, position = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = start + 1
        else:
            yield text[start:position]
