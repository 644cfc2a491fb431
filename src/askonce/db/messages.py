"""What was said in all sessions.

Whoever adds a message moves the session's own counter, which is a compare-and-swap: positions have
no gaps and no doubles, and a reply lands only behind the very thread that it was made for.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    insert,
    select,
    update,
)

from askonce.core.access import Caller
from askonce.core.conversations import Message, Role, Session, Turn
from askonce.core.replies import reply_of
from askonce.db.analyses import ANSWER_TO_GIVE
from askonce.db.giving import ANSWER_COLUMNS, Said
from askonce.db.rows import AnswerRow, MessageRow, SessionRow
from askonce.db.sessions import IS_REACHABLE, reach_of, reachable_by

_SUMMARY = Role.SUMMARY.value
_IS_SESSION = SessionRow.id == bindparam("in_session"), SessionRow.tenant == bindparam("in_tenant")
_IN_SESSION = (
    MessageRow.session_id == bindparam("in_session"),
    MessageRow.tenant == bindparam("in_tenant"),
)
_IS_SAID = MessageRow.role != _SUMMARY

# Built once: building a statement takes longer than running it.
_ADD = insert(MessageRow).returning(MessageRow.id)
_SAY = (
    update(SessionRow)
    .where(*_IS_SESSION)
    .values(messages=SessionRow.messages + 1)
    .returning(SessionRow.messages)
)
_BRING_IN = (
    update(SessionRow)
    .where(*_IS_SESSION)
    .values(messages=SessionRow.messages + 1, replied=SessionRow.messages + 1)
    .returning(SessionRow.messages)
)
_REPLY = _BRING_IN.where(SessionRow.messages == bindparam("expected"))
_TOUCH = update(SessionRow).where(*_IS_SESSION).returning(SessionRow.messages)
_STANDS = select(SessionRow.messages).where(*_IS_SESSION).with_for_update()

_MESSAGES = (
    select(
        MessageRow.id,
        MessageRow.session_id,
        MessageRow.role,
        MessageRow.position,
        MessageRow.content,
        MessageRow.cached,
        MessageRow.sent,
        MessageRow.summarised,
        MessageRow.created_at,
        SessionRow.replied,
        *ANSWER_COLUMNS,
    )
    .join(SessionRow, SessionRow.id == MessageRow.session_id)
    .outerjoin(AnswerRow, AnswerRow.id == MessageRow.answer_id)
)
_ONE = _MESSAGES.where(MessageRow.id == bindparam("message_id"))
_NEWEST = (
    _MESSAGES.where(*_IN_SESSION, *IS_REACHABLE, MessageRow.id < bindparam("before_id"))
    .order_by(MessageRow.id.desc())
    .limit(bindparam("most"))
)
_BETWEEN = _MESSAGES.where(
    *_IN_SESSION,
    _IS_SAID,
    MessageRow.position >= bindparam("first"),
    MessageRow.position <= bindparam("last"),
)
_THREAD = _BETWEEN.order_by(MessageRow.position).limit(bindparam("most"))
_SUMMARIES = _MESSAGES.where(*_IN_SESSION, MessageRow.role == _SUMMARY).order_by(
    MessageRow.position, MessageRow.id
)
_IN_PLACE = _MESSAGES.where(
    *_IN_SESSION,
    MessageRow.position == bindparam("at_position"),
    MessageRow.role == bindparam("as_role"),
).order_by(MessageRow.id.desc())

_REPLY_TO = (
    _MESSAGES.where(
        *_IN_SESSION,
        MessageRow.role == Role.ASSISTANT.value,
        MessageRow.position > bindparam("behind"),
    )
    .order_by(MessageRow.position)
    .limit(1)
)
_BY_ID = _MESSAGES.where(
    *_IN_SESSION, MessageRow.id >= bindparam("from_id"), MessageRow.id <= bindparam("to_id")
).order_by(MessageRow.id)

_BEYOND = 2**63 - 1


class SqlMessages:
    """The messages of all sessions."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def say(self, session: Session, content: str, *, at: datetime) -> Message:
        """Write what a user says, behind all other messages."""
        return self._add(_SAY, session, Role.USER, content, at)

    def bring_in(self, session: Session, content: str, *, at: datetime) -> Message:
        """Write what an assistant said elsewhere, behind all other messages."""
        return self._add(_BRING_IN, session, Role.ASSISTANT, content, at)

    def give(
        self, tenant: str, turn: Turn, answer_id: int, *, cached: bool, at: datetime
    ) -> Message | None:
        """Write a model's words in their place; None when it is taken, or has been deleted."""
        # The key share keeps a deletion out until the new row, which refers to it, is committed.
        answer = self._connection.execute(
            ANSWER_TO_GIVE, {"answer_id": answer_id, "tenant": tenant}
        ).one_or_none()
        if answer is None:
            return None
        session = {"in_session": turn.session_id, "in_tenant": tenant}
        moved: dict[str, Any] = {"updated_at": at}
        is_reply = turn.role is Role.ASSISTANT
        statement = _REPLY if is_reply else _TOUCH
        if is_reply:
            moved["expected"] = turn.position
        found = self._connection.execute(statement, session | moved).scalar_one_or_none()
        if found is None:
            return None
        facts = {
            "tenant": tenant,
            "session_id": turn.session_id,
            "role": turn.role.value,
            "position": turn.position + 1 if is_reply else turn.position,
            "content": None,
            "answer_id": answer_id,
            "cached": cached,
            "sent": turn.sent,
            "summarised": turn.summarised,
            "created_at": at,
        }
        message_id = self._connection.execute(_ADD, facts).scalar_one()
        return _message(self._connection.execute(_ONE, {"message_id": message_id}).one())

    def given(self, tenant: str, turn: Turn) -> Message | None:
        """Return the words that are in a place already."""
        is_reply = turn.role is Role.ASSISTANT
        place = {
            "in_session": turn.session_id,
            "in_tenant": tenant,
            "at_position": turn.position + 1 if is_reply else turn.position,
            "as_role": turn.role.value,
        }
        row = self._connection.execute(_IN_PLACE, place).first()
        return None if row is None else _message(row)

    def end_of(self, tenant: str, session_id: int) -> int | None:
        """Return the position of a session's newest message; None without the session.

        Nobody else adds one until this transaction ends.
        """
        session = {"in_session": session_id, "in_tenant": tenant}
        return self._connection.execute(_STANDS, session).scalar_one_or_none()

    def reply_to(self, session: Session, message: Message) -> Message | None:
        """Return what an assistant said first after a message."""
        found = self._read(_REPLY_TO, session.id, session.tenant, {"behind": message.position})
        return found[0] if found else None

    def around(self, session: Session, reply: Message) -> Sequence[Message]:
        """Return a reply with what it replies to and the summaries that were made for it."""
        before = self.ending(session, last=reply.position - 1, limit=1)
        first_id = before[0].id if before else reply.id
        return self.between(session, first_id=first_id, last_id=reply.id)

    def between(self, session: Session, *, first_id: int, last_id: int) -> Sequence[Message]:
        """Return the messages with ids from the first to the last one, summaries among them."""
        ids = {"from_id": first_id, "to_id": last_id}
        return self._read(_BY_ID, session.id, session.tenant, ids)

    def one(self, caller: Caller, message_id: int) -> Message | None:
        """Return one message of a session that the caller may reach."""
        statement = _ONE.where(*reachable_by(caller))
        row = self._connection.execute(statement, {"message_id": message_id}).one_or_none()
        return None if row is None else _message(row)

    def newest(
        self, caller: Caller, session_id: int, *, limit: int, before_id: int | None = None
    ) -> Sequence[Message]:
        """Return up to `limit` messages, summaries among them, the largest id first."""
        page = {"before_id": before_id or _BEYOND, "most": limit, **reach_of(caller)}
        return self._read(_NEWEST, session_id, caller.tenant, page)

    def thread(
        self, session: Session, *, first: int = 1, last: int | None = None, limit: int
    ) -> Sequence[Message]:
        """Return up to `limit` messages from position `first` on, oldest first, no summaries."""
        page = {"first": first, "last": last or _BEYOND, "most": limit}
        return self._read(_THREAD, session.id, session.tenant, page)

    def ending(self, session: Session, *, last: int, limit: int) -> Sequence[Message]:
        """Return the `limit` messages that end at position `last`, oldest first, no summaries."""
        # Positions have no gaps.
        return self.thread(session, first=last - limit + 1, last=last, limit=limit)

    def summaries(self, session: Session) -> Sequence[Message]:
        """Return all summaries of a session, the oldest first."""
        return self._read(_SUMMARIES, session.id, session.tenant, {})

    def _add(
        self, moving: Any, session: Session, role: Role, content: str, at: datetime
    ) -> Message:
        position = self._connection.execute(
            moving, {"in_session": session.id, "in_tenant": session.tenant, "updated_at": at}
        ).scalar_one()
        facts = {
            "tenant": session.tenant,
            "session_id": session.id,
            "role": role.value,
            "position": position,
            "content": content,
            "answer_id": None,
            "cached": False,
            "sent": None,
            "summarised": None,
            "created_at": at,
        }
        return Message(
            id=self._connection.execute(_ADD, facts).scalar_one(),
            session_id=session.id,
            role=role,
            position=position,
            content=content,
            is_answered=role is not Role.USER,
            created_at=at,
        )

    def _read(
        self,
        statement: Select[*tuple[Any, ...]],
        session_id: int,
        tenant: str,
        facts: dict[str, Any],
    ) -> Sequence[Message]:
        session = {"in_session": session_id, "in_tenant": tenant}
        return [_message(row) for row in self._connection.execute(statement, session | facts)]


def _message(row: Row[*tuple[Any, ...]]) -> Message:
    role = Role(row.role)
    facts: dict[str, Any] = {
        "id": row.id,
        "session_id": row.session_id,
        "role": role,
        "position": row.position,
        "cached": row.cached,
        "sent": row.sent,
        "summarised": row.summarised,
        # Whoever spoke after the assistant's newest message waits for an answer.
        "is_answered": role is not Role.USER or row.position < row.replied,
        "created_at": row.created_at,
    }
    if row.answer_id is None:
        return Message(**facts, content=row.content)
    said = Said.of(row)
    reply = reply_of(said.answer, is_structured=said.is_structured)
    return Message(**facts, content=reply.content, confidence=reply.confidence, answer=said.answer)
