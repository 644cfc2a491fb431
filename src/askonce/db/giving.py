"""Gives many users answers with one statement: the history rows of a whole batch.

One statement costs a tenth of a row each, and it holds the interpreter's lock: a driver that steps
through rows would wait for the event loop after each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Boolean, Connection, Row, bindparam, text

from askonce.core.access import Asker
from askonce.core.answers import Analysis, Answer, FinishReason
from askonce.db.columns import UtcDateTime, stored_in_sqlite
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

_AT = bindparam("at", type_=UtcDateTime)
_CACHED = bindparam("cached", type_=Boolean)
_SHARE_IN_SQLITE = ManyRows(
    "analyses",
    dict.fromkeys(("tenant", "user_id", "answer_id", "cached", "created_at"), ""),
)
# The rows get their ids in the order of the sort, so the smallest id is the first one's.
_SHARE_IN_POSTGRESQL = text(
    """
    INSERT INTO analyses (tenant, user_id, answer_id, cached, created_at)
    SELECT tenant, user_id, answer_id, :cached, :at
    FROM unnest(CAST(:tenants AS varchar[]), CAST(:user_ids AS varchar[]),
                CAST(:answer_ids AS bigint[]))
         WITH ORDINALITY AS gifts (tenant, user_id, answer_id, place)
    ORDER BY place
    RETURNING id
    """
).bindparams(_AT, _CACHED)


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
    given = [(asker, one.id) for asker, one in zip(askers, said, strict=True) if one is not None]
    ids = iter(_share(connection, given, at) if given else ())
    return [
        None if one is None else one.to(asker, next(ids), cached=True, at=at)
        for asker, one in zip(askers, said, strict=True)
    ]


def _share(
    connection: Connection, given: Sequence[tuple[Asker, int]], at: datetime
) -> Sequence[int]:
    if connection.dialect.name == "sqlite":
        moment = stored_in_sqlite(at)
        rows = [(asker.tenant, asker.user_id, answer_id, 1, moment) for asker, answer_id in given]
        # Nobody else writes meanwhile, so the ids count up without a gap.
        last_id = _SHARE_IN_SQLITE.write_in_sqlite(connection, rows)
        return range(last_id + 1 - len(given), last_id + 1)
    facts = {
        "cached": True,
        "at": at,
        "tenants": [asker.tenant for asker, _ in given],
        "user_ids": [asker.user_id for asker, _ in given],
        "answer_ids": [answer_id for _, answer_id in given],
    }
    return sorted(connection.execute(_SHARE_IN_POSTGRESQL, facts).scalars())
