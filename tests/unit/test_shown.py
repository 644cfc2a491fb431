"""What is written of an answer in a hurry is what would be written at leisure."""

import json
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from askonce.core.answers import Analysis, Answer, FinishReason
from askonce.http.shown import AnalysisOut, written

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PRICES = st.none() | st.decimals(0, 10, allow_nan=False, places=12)
# What a careless cut would take for its place.
LOOKALIKES = st.just(json.dumps({"tokens_in": 1, "cached": True, 'x","cached":true,"y': 2}))


@st.composite
def analyses(draw: st.DrawFn) -> Analysis:
    is_structured = draw(st.booleans())
    text = draw(LOOKALIKES | JSON.map(json.dumps) if is_structured else LOOKALIKES | TEXTS)
    cost: Decimal | None = draw(PRICES)
    return Analysis(
        id=draw(st.integers(1, 2**63 - 1)),
        user_id=draw(st.from_regex(r"[A-Za-z0-9._@:+-]{1,128}", fullmatch=True)),
        text="",
        answer=Answer(
            text=text,
            provider="claude",
            model=draw(st.from_regex(r"[A-Za-z0-9._:/@+-]{1,20}", fullmatch=True)),
            finish_reason=draw(st.sampled_from(FinishReason)),
            tokens_in=draw(st.integers(0, 10**9)),
            tokens_out=draw(st.integers(0, 10**9)),
            cost=cost,
        ),
        is_structured=is_structured,
        cached=draw(st.booleans()),
        created_at=draw(st.datetimes(timezones=st.just(UTC))),
    )


@given(analyses())
def test_an_analysis_is_written_as_its_model_would_be(analysis: Analysis) -> None:
    assert written(analysis) == AnalysisOut.of(analysis).model_dump_json().encode()


@given(analyses())
def test_what_is_remembered_of_an_answer_is_not_of_one_user(analysis: Analysis) -> None:
    other = Analysis(
        id=1,
        user_id="another",
        text="",
        answer=analysis.answer,
        is_structured=analysis.is_structured,
        cached=not analysis.cached,
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    written(analysis)

    assert written(other) == AnalysisOut.of(other).model_dump_json().encode()
