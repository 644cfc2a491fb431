"""Conversations, without what was said. Ownership is in every WHERE."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    bindparam,
    delete,
    insert,
    or_,
    select,
    tuple_,
    update,
)

from askonce.core.access import Caller
from askonce.core.conversations import NewSession, Session
from askonce.core.stores import SessionFilter
from askonce.db.rows import MessageRow, SessionRow
from askonce.db.unused import hold, remove_unused

COLUMNS = (
    SessionRow.id,
    SessionRow.tenant,
    SessionRow.user_id,
    SessionRow.title,
    SessionRow.provider,
    SessionRow.model,
    SessionRow.instructions,
    SessionRow.messages,
    SessionRow.replied,
    SessionRow.created_at,
    SessionRow.updated_at,
)

# Built once: building a statement takes longer than running it.
# The walls of statements that are: `reachable_by` is for those that differ each time.
IS_REACHABLE = (
    SessionRow.tenant == bindparam("in_tenant"),
    or_(
        bindparam("only_user", type_=String).is_(None), SessionRow.user_id == bindparam("only_user")
    ),
)
_IS_IT = (SessionRow.id == bindparam("session_id"), *IS_REACHABLE)
_ADD = insert(SessionRow).values(messages=0, replied=0).returning(*COLUMNS)
_ONE = select(*COLUMNS).where(*_IS_IT)
_LOCKED = _ONE.with_for_update()
_ANSWERS = (
    select(MessageRow.answer_id)
    .where(MessageRow.session_id == bindparam("session_id"), MessageRow.answer_id.is_not(None))
    .distinct()
)
_REMOVE_MESSAGES = delete(MessageRow).where(MessageRow.session_id == bindparam("session_id"))
_REMOVE = delete(SessionRow).where(*_IS_IT)


class SqlSessions:
    """The conversations of all users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, caller: Caller, new: NewSession, *, at: datetime) -> Session:
        """Begin a conversation in which nothing has been said."""
        facts = asdict(new) | {"tenant": caller.tenant, "created_at": at, "updated_at": at}
        return session_of(self._connection.execute(_ADD, facts).one())

    def one(self, caller: Caller, session_id: int) -> Session | None:
        """Return one session that the caller may reach."""
        return self._found(_ONE, caller, session_id)

    def locked(self, caller: Caller, session_id: int) -> Session | None:
        """Return one session; nobody else changes it until this transaction ends."""
        return self._found(_LOCKED, caller, session_id)

    def newest(self, caller: Caller, wanted: SessionFilter) -> Sequence[Session]:
        """Return up to `wanted.limit` sessions, the most recently updated first."""
        statement = (
            select(*COLUMNS)
            .where(*reachable_by(caller), *_conditions(wanted))
            .order_by(SessionRow.updated_at.desc(), SessionRow.id.desc())
            .limit(wanted.limit)
        )
        return [session_of(row) for row in self._connection.execute(statement)]

    def change(
        self, caller: Caller, session_id: int, changes: Mapping[str, str | None], *, at: datetime
    ) -> Session | None:
        """Change these fields, and return the session as it is then; None without one."""
        row = self._connection.execute(
            update(SessionRow)
            .where(SessionRow.id == session_id, *reachable_by(caller))
            .values(**changes, updated_at=at)
            .returning(*COLUMNS)
        ).one_or_none()
        return None if row is None else session_of(row)

    def remove(self, caller: Caller, session_id: int) -> bool:
        """Delete a session, its messages, and the answers and entries that nobody else uses.

        False when there is no such session, or none that the caller may reach.
        """
        # Locked: whoever is just adding a message is waited for, and then finds no session.
        if self.locked(caller, session_id) is None:
            return False
        it = {"session_id": session_id}
        found = self._connection.execute(_ANSWERS, it).scalars()
        answer_ids = [answer_id for answer_id in found if answer_id is not None]
        hold(self._connection, answer_ids)
        self._connection.execute(_REMOVE_MESSAGES, it)
        self._connection.execute(_REMOVE, {**it, **reach_of(caller)})
        remove_unused(self._connection, answer_ids)
        return True

    def _found(
        self, statement: Select[*tuple[Any, ...]], caller: Caller, session_id: int
    ) -> Session | None:
        it = {"session_id": session_id, **reach_of(caller)}
        row = self._connection.execute(statement, it).one_or_none()
        return None if row is None else session_of(row)


def reachable_by(caller: Caller) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that keep a caller inside the caller's own walls."""
    is_in_tenant = SessionRow.tenant == caller.tenant
    if caller.only_user is None:
        return (is_in_tenant,)
    return (is_in_tenant, SessionRow.user_id == caller.only_user)


def reach_of(caller: Caller) -> dict[str, str | None]:
    """Return the parameters of `IS_REACHABLE`."""
    return {"in_tenant": caller.tenant, "only_user": caller.only_user}


def _conditions(wanted: SessionFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.user_id is not None:
        conditions.append(SessionRow.user_id == wanted.user_id)
    if wanted.before is not None:
        place = tuple_(SessionRow.updated_at, SessionRow.id)
        conditions.append(place < tuple_(*wanted.before))
    return conditions


def session_of(row: Row[*tuple[Any, ...]]) -> Session:
    return Session(**row._mapping)  # noqa: SLF001 - public in spite of its name
