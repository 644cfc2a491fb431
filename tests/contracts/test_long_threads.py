"""A turn costs the database no more in a long thread than in a short one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, insert, update

from askonce.core.conversations import NewSession, Role, Session, Turn
from askonce.core.replies import REPLY_SCHEMA
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.rows import MessageRow, SessionRow
from tests.examples import CALLER, KEY, NOW
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer

Statement = tuple[str, Any]


def a_thread(tx: SqlTransaction, length: int) -> Session:
    """Return a session of so many messages, among others."""
    new = NewSession(user_id="alice", title="Long")
    *_, session = (tx.sessions.add(CALLER, new, at=NOW) for _ in range(50))
    rows = [
        {
            "tenant": "default",
            "session_id": session.id,
            "role": "user" if position % 2 else "assistant",
            "position": position,
            "content": "word",
            "cached": False,
            "created_at": NOW,
        }
        for position in range(1, length + 1)
    ]
    tx.connection.execute(insert(MessageRow), rows)
    tx.connection.execute(
        update(SessionRow)
        .where(SessionRow.id == session.id)
        .values(messages=length, replied=length)
    )
    tx.connection.exec_driver_sql("ANALYZE")
    return session


@contextmanager
def noted(database: SqlDatabase) -> Iterator[list[Statement]]:
    """Note the statements that are run in the block."""
    statements: list[Statement] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        statements.append((statement, values))

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def plan_of(tx: SqlTransaction, statement: Statement) -> str:
    is_sqlite = tx.connection.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN " if is_sqlite else "EXPLAIN "
    text, values = statement
    return "\n".join(str(row) for row in tx.connection.exec_driver_sql(explain + text, values))


def a_turn(tx: SqlTransaction, session: Session) -> None:
    """Do what a turn does: say something, read the newest messages, reply."""
    said = tx.messages.say(session, "And now?", at=NOW)
    tx.messages.summaries(session)
    tx.messages.ending(session, last=said.position, limit=10)
    asked = question(messages=(), output_schema=REPLY_SCHEMA)
    text = '{"content": "Yes.", "confidence": 1}'
    answer_id = keep_answer(tx, asked, answer(text=text), tenant="default", fingerprint=KEY, at=NOW)
    turn = Turn(
        session_id=session.id, position=said.position, role=Role.ASSISTANT, sent=10, summarised=0
    )
    assert tx.messages.end_of("default", session.id) == said.position
    assert tx.messages.give("default", turn, answer_id, cached=False, at=NOW) is not None


@pytest.mark.parametrize("length", [10, 10_000])
def test_every_statement_of_a_turn_goes_down_an_index(database: SqlDatabase, length: int) -> None:
    with database.transaction() as tx:
        session = a_thread(tx, length)

    with noted(database) as statements, database.transaction() as tx:
        a_turn(tx, session)

    assert len(statements) <= 12
    with database.reading() as tx:
        if not database.is_sqlite:
            # A table of a few rows is otherwise scanned whatever indexes it has.
            tx.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        read = [one for one in statements if one[0].startswith(("SELECT", "UPDATE"))]
        plans = [plan_of(tx, statement) for statement in read]
    assert plans
    assert [plan for plan in plans if "Seq Scan" in plan or "SCAN " in plan] == []
