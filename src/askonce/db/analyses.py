"""The history: who asked what, and when. Ownership is in every WHERE."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    delete,
    insert,
    select,
)

from askonce.core.access import Asker, Caller
from askonce.core.answers import Analysis, Answer
from askonce.core.ports import Gift, HistoryFilter, Page
from askonce.core.questions import Question
from askonce.db.giving import ANSWER_COLUMNS, Said, share_all
from askonce.db.history import ANALYSES, History, analysis_of
from askonce.db.prepared import Prepared
from askonce.db.rows import AnalysisRow, AnswerRow
from askonce.db.unused import hold, remove_unused

# Built once: building a statement takes longer than running it.
ANSWER_TO_GIVE = (
    select(*ANSWER_COLUMNS)
    .where(AnswerRow.id == bindparam("answer_id"), AnswerRow.tenant == bindparam("tenant"))
    .with_for_update(read=True, key_share=True)
)
_ANSWERS_TO_SHARE = (
    select(AnswerRow.tenant, *ANSWER_COLUMNS)
    .where(AnswerRow.id.in_(bindparam("answer_ids", expanding=True)))
    .with_for_update(read=True, key_share=True)
)
_ADD = Prepared(insert(AnalysisRow).returning(AnalysisRow.id))


class SqlAnalyses:
    """The analyses of all users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, asker: Asker, answer_id: int, *, cached: bool, at: datetime) -> Analysis | None:
        """Write that a user was given an answer; None when the answer has been deleted."""
        # The key share keeps a deletion out until the new row, which refers to it, is committed.
        row = self._connection.execute(
            ANSWER_TO_GIVE, {"answer_id": answer_id, "tenant": asker.tenant}
        ).one_or_none()
        if row is None:
            return None
        return self._added(asker, Said.of(row), cached=cached, at=at)

    def add_paid(
        self, asker: Asker, question: Question, answer: Answer, *, at: datetime
    ) -> Analysis:
        """Write that a user was given an answer that was kept in this very transaction."""
        said = Said(answer.id or 0, question.text, answer, question.output_schema is not None)
        return self._added(asker, said, cached=False, at=at)

    def share(self, gifts: Sequence[Gift], *, at: datetime) -> Sequence[Analysis | None]:
        """Write that users were given answers that cost them nothing; None as `add` does."""
        answer_ids = {gift.answer_id for gift in gifts}
        rows = self._connection.execute(_ANSWERS_TO_SHARE, {"answer_ids": sorted(answer_ids)})
        found = {(row.tenant, row.answer_id): Said.of(row) for row in rows}
        said = [found.get((gift.asker.tenant, gift.answer_id)) for gift in gifts]
        return share_all(self._connection, [gift.asker for gift in gifts], said, at=at)

    def given(self, asker: Asker, answer_id: int) -> Analysis | None:
        """Return the newest history row in which this user was given this answer."""
        statement = (
            ANALYSES.where(
                AnalysisRow.tenant == asker.tenant,
                AnalysisRow.user_id == asker.user_id,
                AnalysisRow.answer_id == answer_id,
            )
            .order_by(AnalysisRow.id.desc())
            .limit(1)
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else analysis_of(row)

    def one(self, caller: Caller, user_id: str, analysis_id: int) -> Analysis | None:
        """Return one analysis of a user whom the caller may reach."""
        statement = ANALYSES.where(
            AnalysisRow.id == analysis_id, AnalysisRow.user_id == user_id, *reachable_by(caller)
        )
        row = self._connection.execute(statement).one_or_none()
        return None if row is None else analysis_of(row)

    def newest(self, caller: Caller, user_id: str, wanted: HistoryFilter) -> Page:
        """Return up to `wanted.limit` analyses, the largest id first."""
        user = Asker(tenant=caller.tenant, user_id=user_id)
        return History(self._connection, user, reachable_by(caller), wanted).page()

    def remove(self, caller: Caller, analysis_id: int) -> str | None:
        """Delete one analysis, and with its last use the answer and its cache entry.

        A call in flight for the same question is fenced off, so that it cannot bring back what
        was deleted. Returns whose it was; None when there is no such analysis, or none that the
        caller may reach.
        """
        answer_id = self._connection.execute(
            select(AnalysisRow.answer_id).where(
                AnalysisRow.id == analysis_id, *reachable_by(caller)
            )
        ).scalar_one_or_none()
        if answer_id is None:
            return None
        # Taken before we look for other uses: whoever is just adding one is waited for.
        hold(self._connection, [answer_id])
        removed = self._connection.execute(
            delete(AnalysisRow)
            .where(AnalysisRow.id == analysis_id, *reachable_by(caller))
            .returning(AnalysisRow.user_id)
        ).scalar_one_or_none()
        if removed is not None:
            self._remove_unused(answer_id)
        return removed

    def _added(self, asker: Asker, said: Said, *, cached: bool, at: datetime) -> Analysis:
        (analysis_id,) = _ADD.one(
            self._connection,
            {
                "tenant": asker.tenant,
                "user_id": asker.user_id,
                "answer_id": said.id,
                "cached": cached,
                "created_at": at,
            },
        )
        return said.to(asker, analysis_id, cached=cached, at=at)

    def _remove_unused(self, answer_id: int) -> None:
        remove_unused(self._connection, [answer_id])


def reachable_by(caller: Caller) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that keep a caller inside the caller's own walls."""
    is_in_tenant = AnalysisRow.tenant == caller.tenant
    if caller.only_user is None:
        return (is_in_tenant,)
    return (is_in_tenant, AnalysisRow.user_id == caller.only_user)
