"""Gives many users answers with one statement: the history rows of a whole batch.

One statement costs a tenth of a row each, and it holds the interpreter's lock: a driver that steps
through rows would wait for the event loop after each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Row

from askonce.core.access import Asker
from askonce.core.answers import Analysis, Answer, FinishReason
from askonce.db.columns import stored
from askonce.db.many import ManyRows
from askonce.db.rows import AnswerRow

ANSWER_COLUMNS = (
    AnswerRow.id.label("answer_id"),
    AnswerRow.text,
    AnswerRow.result,
    AnswerRow.is_structured,
    AnswerRow.provider,
    AnswerRow.model,
    AnswerRow.finish_reason,
    AnswerRow.tokens_in,
    AnswerRow.tokens_out,
    AnswerRow.cost,
    AnswerRow.digest,
)

_SHARE = ManyRows(
    "analyses",
    {
        "tenant": "varchar",
        "user_id": "varchar",
        "answer_id": "bigint",
        "cached": "boolean",
        "created_at": "timestamptz",
    },
)


@dataclass(frozen=True, slots=True)
class Said:
    """What a provider said to a text, as everybody is given it."""

    id: int
    text: str = field(repr=False)
    answer: Answer
    is_structured: bool

    @classmethod
    def of(cls, row: Row[*tuple[object, ...]]) -> "Said":
        """Read a row that has the `ANSWER_COLUMNS`."""
        answer = Answer(
            text=row.result,
            provider=row.provider,
            model=row.model,
            finish_reason=FinishReason(row.finish_reason),
            tokens_in=row.tokens_in,
            tokens_out=row.tokens_out,
            cost=row.cost,
            id=row.answer_id,
            digest=row.digest,
        )
        return cls(row.answer_id, row.text, answer, row.is_structured)

    def to(self, asker: Asker, analysis_id: int, *, cached: bool, at: datetime) -> Analysis:
        """Return what a user has been given with it."""
        return Analysis(
            id=analysis_id,
            user_id=asker.user_id,
            text=self.text,
            answer=self.answer,
            is_structured=self.is_structured,
            cached=cached,
            created_at=at,
        )


def share_all(
    connection: Connection, askers: Sequence[Asker], said: Sequence[Said | None], *, at: datetime
) -> Sequence[Analysis | None]:
    """Write a history row for each asker whom there is something to give; None for the others."""
    moment = stored(connection, at)
    rows = [
        (asker.tenant, asker.user_id, one.id, True, moment)
        for asker, one in zip(askers, said, strict=True)
        if one is not None
    ]
    ids = iter(_SHARE.write_with_ids(connection, rows) if rows else ())
    return [
        None if one is None else one.to(asker, next(ids), cached=True, at=at)
        for asker, one in zip(askers, said, strict=True)
    ]
