"""Which requests were answered with what, for as long as their keys are kept.

A key is no lock: two requests with one key ask one question and so join one flight. Only what the
first was answered with is written here, in the transaction that writes the answer's history row.
"""

from datetime import datetime

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core.access import Asker, Caller, Role
from askonce.core.answers import Analysis
from askonce.core.conversations import Message, Session
from askonce.core.idempotency import KEPT_FOR, IdempotencyKey, Repeat
from askonce.core.ports import Stood
from askonce.db.analyses import SqlAnalyses
from askonce.db.messages import SqlMessages
from askonce.db.rows import IdempotencyRow
from askonce.db.sessions import SqlSessions

_NOTHING_YET = {"analysis_id": None, "session_id": None, "message_id": None}


class SqlIdempotencyKeys:
    """The idempotency keys of all callers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, key: IdempotencyKey, asker: Asker, *, at: datetime) -> Stood | Repeat | None:
        """Note that a key is used, and return what it was answered with, if it was.

        A key that is older than 24 hours is used anew. The row stays locked until the transaction
        ends, so that of two requests with one key only the first can settle it.
        """
        self._note(key, asker, at)
        row = self._connection.execute(
            select(
                IdempotencyRow.digest,
                IdempotencyRow.analysis_id,
                IdempotencyRow.session_id,
                IdempotencyRow.message_id,
            )
            .where(IdempotencyRow.scope == key.scope)
            .with_for_update()
        ).one()
        if row.digest != key.digest:
            return Repeat.MISMATCH
        caller = Caller(tenant=asker.tenant, role=Role.USER, user_id=asker.user_id)
        found: Stood | None
        if row.analysis_id is not None:
            found = SqlAnalyses(self._connection).one(caller, asker.user_id, row.analysis_id)
        elif row.message_id is not None:
            found = SqlMessages(self._connection).one(caller, row.message_id)
        elif row.session_id is not None:
            found = SqlSessions(self._connection).one(caller, row.session_id)
        else:
            return None
        return found or Repeat.DELETED

    def settle(self, key: IdempotencyKey, given: Stood) -> None:
        """Write what a key was answered with; the first answer stands."""
        column = {Analysis: "analysis_id", Session: "session_id", Message: "message_id"}[
            type(given)
        ]
        self._connection.execute(
            update(IdempotencyRow)
            .where(
                IdempotencyRow.scope == key.scope,
                IdempotencyRow.digest == key.digest,
                IdempotencyRow.analysis_id.is_(None),
                IdempotencyRow.session_id.is_(None),
                IdempotencyRow.message_id.is_(None),
            )
            .values({column: given.id})
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
                set_=facts | _NOTHING_YET,
                where=IdempotencyRow.created_at <= at - KEPT_FOR,
            )
        )
