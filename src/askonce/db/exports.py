"""Reads everything about one user, in portions that fit into memory whatever their rows hold."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, func, select

from askonce.core.answers import Analysis
from askonce.core.budgets import Kind
from askonce.core.conversations import Message, Session
from askonce.core.exports import BatchLine, Call, KnownKey, Limit, UsageDay
from askonce.core.preferences import Wishes
from askonce.core.usage import COUNTED, Totals
from askonce.db.batch_rows import BatchLineRow
from askonce.db.book_rows import UsageRow
from askonce.db.history import ANALYSES, analysis_of
from askonce.db.messages import SqlMessages
from askonce.db.money_rows import BudgetRow
from askonce.db.preferences import SqlPreferences
from askonce.db.provider_batches import question_of
from askonce.db.rows import (
    AnalysisRow,
    AnswerRow,
    AttemptRow,
    IdempotencyRow,
    MessageRow,
    SessionRow,
)
from askonce.db.sessions import COLUMNS, session_of
from askonce.db.usage import SUMS, total_of

_ROWS = 500
_CHARACTERS = 500_000
_TENANT: Any = bindparam("of_tenant")
_USER: Any = bindparam("of_user")
_AFTER: Any = bindparam("after")
_SIZE = func.coalesce(func.length(AnswerRow.text) + func.length(AnswerRow.result), 0)

# Built once: building a statement takes longer than running it.
_SIZES_OF_ANALYSES = (
    select(AnalysisRow.id, _SIZE.label("size"))
    .join(AnswerRow, AnswerRow.id == AnalysisRow.answer_id)
    .where(AnalysisRow.tenant == _TENANT, AnalysisRow.user_id == _USER, AnalysisRow.id > _AFTER)
    .order_by(AnalysisRow.id)
    .limit(_ROWS)
)
_ANALYSES = ANALYSES.where(
    AnalysisRow.tenant == _TENANT,
    AnalysisRow.user_id == _USER,
    AnalysisRow.id > _AFTER,
    AnalysisRow.id <= bindparam("last"),
).order_by(AnalysisRow.id)
_SIZES_OF_MESSAGES = (
    select(
        MessageRow.id,
        (func.coalesce(func.length(MessageRow.content), 0) + _SIZE).label("size"),
    )
    .outerjoin(AnswerRow, AnswerRow.id == MessageRow.answer_id)
    .where(
        MessageRow.session_id == bindparam("session_id"),
        MessageRow.tenant == _TENANT,
        MessageRow.id > _AFTER,
    )
    .order_by(MessageRow.id)
    .limit(_ROWS)
)
_SESSIONS = (
    select(*COLUMNS)
    .where(SessionRow.tenant == _TENANT, SessionRow.user_id == _USER, SessionRow.id > _AFTER)
    .order_by(SessionRow.id)
    # A session's instructions may be as long as a text.
    .limit(10)
)
_CALLS = (
    select(
        AttemptRow.id,
        AttemptRow.provider,
        AttemptRow.model,
        AttemptRow.outcome,
        AttemptRow.tokens_in,
        AttemptRow.tokens_out,
        AttemptRow.cost,
        AttemptRow.started_at,
        AttemptRow.finished_at,
    )
    .where(AttemptRow.tenant == _TENANT, AttemptRow.user_id == _USER, AttemptRow.id > _AFTER)
    .order_by(AttemptRow.id)
    .limit(_ROWS)
)
_KEYS = (
    select(
        IdempotencyRow.scope,
        IdempotencyRow.analysis_id,
        IdempotencyRow.session_id,
        IdempotencyRow.message_id,
        IdempotencyRow.created_at,
    )
    .where(
        IdempotencyRow.tenant == _TENANT,
        IdempotencyRow.user_id == _USER,
        IdempotencyRow.scope > _AFTER,
    )
    .order_by(IdempotencyRow.scope)
    .limit(_ROWS)
)
_BATCH_LINES = (
    select(BatchLineRow.id, BatchLineRow.question)
    .where(
        BatchLineRow.tenant == _TENANT,
        BatchLineRow.user_id == _USER,
        BatchLineRow.question.is_not(None),
        BatchLineRow.id > _AFTER,
    )
    .order_by(BatchLineRow.id)
    # A question may be as long as a text and its instructions.
    .limit(10)
)
_BUDGETS = (
    select(BudgetRow.amount, BudgetRow.unit, BudgetRow.period)
    .where(BudgetRow.tenant == _TENANT, BudgetRow.kind == Kind.USER.value, BudgetRow.name == _USER)
    .order_by(BudgetRow.id)
)
_IS_THEIRS = (UsageRow.tenant == _TENANT, UsageRow.user_id == _USER, UsageRow.day > _AFTER)
_DAYS = select(UsageRow.day).where(*_IS_THEIRS).distinct().order_by(UsageRow.day).limit(31)
_USAGE = (
    select(
        UsageRow.day,
        UsageRow.provider,
        UsageRow.model,
        *(SUMS[name] for name in COUNTED),
    )
    .where(*_IS_THEIRS, UsageRow.day <= bindparam("until"))
    .group_by(UsageRow.day, UsageRow.provider, UsageRow.model)
    .order_by(UsageRow.day, UsageRow.provider, UsageRow.model)
)


class SqlExports:
    """What is held about users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def preferences(self, tenant: str, user_id: str) -> Sequence[Wishes]:
        found = SqlPreferences(self._connection).of(tenant, user_id)
        return [] if found is None else [found]

    def budgets(self, tenant: str, user_id: str) -> Sequence[Limit]:
        facts = {"of_tenant": tenant, "of_user": user_id}
        return [Limit(**row._mapping) for row in self._rows(_BUDGETS, facts)]  # noqa: SLF001 - public

    def usage(self, tenant: str, user_id: str, *, after: date) -> Sequence[UsageDay]:
        facts = {"of_tenant": tenant, "of_user": user_id, "after": after}
        days = self._connection.execute(_DAYS, facts).scalars().all()
        if not days:
            return []
        return [
            UsageDay(
                day=row.day,
                provider=row.provider,
                model=row.model,
                totals=Totals(**{name: total_of(row, name) for name in COUNTED}),
            )
            for row in self._rows(_USAGE, facts | {"until": days[-1]})
        ]

    def analyses(self, tenant: str, user_id: str, *, after: int) -> Sequence[Analysis]:
        facts = {"of_tenant": tenant, "of_user": user_id, "after": after}
        last = self._last_that_fits(_SIZES_OF_ANALYSES, facts)
        if last is None:
            return []
        return [analysis_of(row) for row in self._rows(_ANALYSES, facts | {"last": last})]

    def sessions(self, tenant: str, user_id: str, *, after: int) -> Sequence[Session]:
        facts = {"of_tenant": tenant, "of_user": user_id, "after": after}
        return [session_of(row) for row in self._rows(_SESSIONS, facts)]

    def messages(self, session: Session, *, after: int) -> Sequence[Message]:
        facts = {"of_tenant": session.tenant, "session_id": session.id, "after": after}
        last = self._last_that_fits(_SIZES_OF_MESSAGES, facts)
        if last is None:
            return []
        return SqlMessages(self._connection).between(session, first_id=after + 1, last_id=last)

    def calls(self, tenant: str, user_id: str, *, after: int) -> Sequence[Call]:
        facts = {"of_tenant": tenant, "of_user": user_id, "after": after}
        return [Call(**row._mapping) for row in self._rows(_CALLS, facts)]  # noqa: SLF001 - public

    def keys(self, tenant: str, user_id: str, *, after: bytes) -> Sequence[KnownKey]:
        facts = {"of_tenant": tenant, "of_user": user_id, "after": after}
        rows = self._rows(_KEYS, facts)
        return [KnownKey(**row._mapping) for row in rows]  # noqa: SLF001 - public

    def batch_lines(self, tenant: str, user_id: str, *, after: int) -> Sequence[BatchLine]:
        facts = {"of_tenant": tenant, "of_user": user_id, "after": after}
        rows = self._rows(_BATCH_LINES, facts)
        return [BatchLine(id=row.id, question=question_of(row.question)) for row in rows]

    def _last_that_fits(
        self, statement: Select[*tuple[Any, ...]], facts: dict[str, Any]
    ) -> int | None:
        """Return the last row of a portion: the first row always fits; None: there is none."""
        last, total = None, 0
        for row in self._rows(statement, facts):
            total += row.size
            if last is not None and total > _CHARACTERS:
                break
            last = row.id
        return last

    def _rows(
        self, statement: Select[*tuple[Any, ...]], facts: dict[str, Any]
    ) -> Sequence[Row[*tuple[Any, ...]]]:
        return self._connection.execute(statement, facts).all()
