"""What a client sees of an analysis."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, Field

from askonce.core.answers import Analysis, Answer, FinishReason

_FEWEST_DECIMALS = 6
# Larger answers are written anew each time: what is remembered stays under 20 MB.
_LARGEST_REMEMBERED = 16_384
_MOST_REMEMBERED = 1024


class AnalysisOut(BaseModel):
    """One user having asked one question at one time."""

    id: int = Field(examples=[41])
    user_id: str = Field(examples=["alice"])
    result: str = Field(description="What the model said, verbatim", examples=["Angry."])
    data: Any = Field(description="The result parsed, where an output_schema was asked for")
    provider: str = Field(examples=["claude"])
    model: str = Field(examples=["claude-haiku-5-5"])
    finish_reason: FinishReason
    cached: bool = Field(description="True: none of the tokens were spent this time")
    tokens_in: int = Field(examples=[120])
    tokens_out: int = Field(examples=[23])
    tokens_used: int = Field(examples=[143])
    cost_usd: str | None = Field(
        description="What producing the answer cost; null where the price is not known",
        examples=["0.000213"],
    )
    created_at: str = Field(examples=["2026-11-21T19:07:13.123456Z"])

    @classmethod
    def of(cls, analysis: Analysis) -> "AnalysisOut":
        """Return what a client sees of an analysis."""
        return cls(**_facts(analysis))


class HistoryItemOut(AnalysisOut):
    """An analysis with the text that was analysed."""

    text: str

    @classmethod
    def of(cls, analysis: Analysis) -> "HistoryItemOut":
        """Return what a client sees of an analysis in the history."""
        return cls(**_facts(analysis), text=analysis.text)


def written(analysis: Analysis) -> bytes:
    """Return an `AnalysisOut` as JSON, byte for byte, without building one.

    What everybody sees of an answer is written once and remembered: a hit takes a tenth of the
    time that way.
    """
    is_small = len(analysis.answer.text) <= _LARGEST_REMEMBERED
    parts = (_remembered if is_small else _parts)(analysis.answer, analysis.is_structured)
    return b'{"id":%d,"user_id":"%b",%b,"cached":%b,%b,"created_at":"%b"}' % (
        analysis.id,
        # A user id has no character that JSON would escape.
        analysis.user_id.encode(),
        parts[0],
        b"true" if analysis.cached else b"false",
        parts[1],
        moment(analysis.created_at).encode(),
    )


# All hits of a batch have one moment.
@lru_cache(maxsize=64)
def moment(at: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, always with microseconds."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def dollars(amount: Decimal | None) -> str | None:
    """Return an amount as a plain decimal, never rounded; None where it is not known."""
    if amount is None:
        return None
    exponent = amount.normalize().as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    return f"{amount:.{max(_FEWEST_DECIMALS, decimals)}f}"


def _facts(analysis: Analysis) -> dict[str, Any]:
    return _said(analysis.answer, is_structured=analysis.is_structured) | {
        "id": analysis.id,
        "user_id": analysis.user_id,
        "cached": analysis.cached,
        "created_at": moment(analysis.created_at),
    }


def _said(answer: Answer, *, is_structured: bool) -> dict[str, Any]:
    is_data = is_structured and answer.finish_reason is FinishReason.STOP
    return {
        "result": answer.text,
        "data": json.loads(answer.text) if is_data else None,
        "provider": answer.provider,
        "model": answer.model,
        "finish_reason": answer.finish_reason,
        "tokens_in": answer.tokens_in,
        "tokens_out": answer.tokens_out,
        "tokens_used": answer.tokens_in + answer.tokens_out,
        "cost_usd": dollars(answer.cost),
    }


def _parts(answer: Answer, is_structured: bool) -> tuple[bytes, bytes]:  # noqa: FBT001 - cached
    """Return what everybody sees of an answer as JSON: what stands before `cached`, and after."""
    said = _said(answer, is_structured=is_structured)
    out = AnalysisOut(id=0, user_id="", cached=True, created_at="", **said)
    before = out.model_dump_json(include=_BEFORE_CACHED)
    after = out.model_dump_json(include=_AFTER_CACHED)
    return before[1:-1].encode(), after[1:-1].encode()


_BEFORE_CACHED = {"result", "data", "provider", "model", "finish_reason"}
_AFTER_CACHED = {"tokens_in", "tokens_out", "tokens_used", "cost_usd"}
_remembered = lru_cache(maxsize=_MOST_REMEMBERED)(_parts)
