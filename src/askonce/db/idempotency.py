"""Which requests were answered with what, for as long as their keys are kept.

A key is no lock: two requests with one key ask one question and so join one flight. Only what the
first was answered with is written here, in the transaction that writes the answer's history row.
"""

from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core.access import Asker, Caller
from askonce.core.answers import Analysis
from askonce.core.idempotency import KEPT_FOR, IdempotencyKey, Repeat
from askonce.db.analyses import SqlAnalyses
from askonce.db.rows import IdempotencyRow


class SqlIdempotencyKeys:
    """The idempotency keys of all callers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, key: IdempotencyKey, asker: Asker, *, at: datetime) -> Analysis | Repeat | None:
        """Note that a key is used, and return what it was answered with, if it was.

        A key that is older than 24 hours is used anew. The row stays locked until the transaction
        ends, so that of two requests with one key only the first can settle it.
        """
        self._note(key, asker, at)
        row = self._connection.execute(
            select(IdempotencyRow.digest, IdempotencyRow.analysis_id)
            .where(IdempotencyRow.scope == key.scope)
            .with_for_update()
        ).one()
        if row.digest != key.digest:
            return Repeat.MISMATCH
        if row.analysis_id is None:
            return None
        caller = Caller(tenant=asker.tenant)
        found = SqlAnalyses(self._connection).one(caller, asker.user_id, row.analysis_id)
        return found or Repeat.DELETED

    def settle(self, key: IdempotencyKey, analysis_id: int) -> None:
        """Write what a key was answered with; the first answer stands."""
        self._connection.execute(
            update(IdempotencyRow)
            .where(
                IdempotencyRow.scope == key.scope,
                IdempotencyRow.digest == key.digest,
                IdempotencyRow.analysis_id.is_(None),
            )
            .values(analysis_id=analysis_id)
        )

    def _note(self, key: IdempotencyKey, asker: Asker, at: datetime) -> None:
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        facts = {
            "tenant": asker.tenant,
            "user_id": asker.user_id,
            "digest": key.digest,
            "created_at": at,
        }
        self._connection.execute(
            dialect.insert(IdempotencyRow)
            .values(scope=key.scope, **facts)
            .on_conflict_do_update(
                index_elements=[IdempotencyRow.scope],
                set_=facts | {"analysis_id": None},
                where=IdempotencyRow.created_at <= at - KEPT_FOR,
            )
        )
