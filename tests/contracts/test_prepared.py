"""What goes past SQLAlchemy's Core means the same as what goes through it, on both databases."""

from datetime import timedelta, timezone
from decimal import Decimal

import psycopg
import pytest
from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from askonce.core.errors import DatabaseUnavailableError
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.prepared import Prepared
from askonce.db.rows import AnalysisRow, AnswerRow
from tests.examples import ALICE, CALLER, KEY, NOW, a_question, an_answer

FACTS = {
    "tenant": "default",
    "fingerprint": KEY,
    "text": "50% of :it and %(that)s",
    "result": "a result",
    "is_structured": True,
    "provider": "claude",
    "model": "m",
    "finish_reason": "stop",
    "tokens_in": 1,
    "tokens_out": 2,
    "cost": Decimal("0.000213"),
    "salt": None,
    "digest": None,
    # Any zone: what is stored and read is UTC.
    "created_at": NOW.astimezone(timezone(timedelta(hours=5))),
}


def test_every_type_is_written_and_read_as_core_does(database: SqlDatabase) -> None:
    add = Prepared(insert(AnswerRow).returning(AnswerRow.id))
    read = select(*AnswerRow.__table__.c).where(AnswerRow.id == bindparam("answer_id"))

    with database.transaction() as tx:
        written = {"answer_id": add.one(tx.connection, FACTS).id}
        ours = Prepared(read).row(tx.connection, written)
        theirs = tx.connection.execute(read, written).one()

    assert ours == tuple(theirs)
    assert ours._asdict() == theirs._asdict()
    assert {name: getattr(ours, name) for name in FACTS} == FACTS


def test_a_row_that_is_not_there_is_none(database: SqlDatabase) -> None:
    read = Prepared(select(AnswerRow.id).where(AnswerRow.id == bindparam("answer_id")))

    with database.transaction() as tx:
        assert read.row(tx.connection, {"answer_id": 9}) is None


def test_nothing_of_one_run_gets_into_the_next(database: SqlDatabase) -> None:
    add = Prepared(insert(AnswerRow).returning(AnswerRow.id))
    others = {name: value for name, value in FACTS.items() if name != "result"}

    with database.transaction() as tx:
        add.one(tx.connection, FACTS)
    for facts in (others, others | {"id": 7}, FACTS | {"id": 7}):
        with pytest.raises(LookupError), database.transaction() as tx:
            add.one(tx.connection, facts)


def test_what_the_driver_refuses_comes_as_sqlalchemys_error(database: SqlDatabase) -> None:
    add = Prepared(insert(AnalysisRow))
    facts = {"user_id": "alice", "answer_id": 1, "cached": False, "created_at": NOW}

    with pytest.raises(IntegrityError) as raised, database.transaction() as tx:
        add.change(tx.connection, {"tenant": None, **facts})

    assert raised.value.params is None


def test_a_database_that_takes_no_writes_is_unavailable(database: SqlDatabase) -> None:
    def write_where_nobody_may(connection: Connection) -> None:
        connection.exec_driver_sql(
            "PRAGMA query_only = ON" if database.is_sqlite else "SET TRANSACTION READ ONLY"
        )
        Prepared(insert(AnswerRow)).change(connection, FACTS)

    with pytest.raises(DatabaseUnavailableError), database.transaction() as tx:
        write_where_nobody_may(tx.connection)


def test_what_is_given_at_once_is_what_the_history_says_later(database: SqlDatabase) -> None:
    # More digits than a database keeps of money.
    paid = an_answer(cost=Decimal("0.00021300000000049"))

    with database.transaction() as tx:
        question = a_question(output_schema="{}")
        kept = tx.answers.keep(question, paid, tenant="default", fingerprint=KEY, at=NOW)
        given = tx.analyses.add_paid(ALICE, question, kept, at=NOW)
    with database.reading() as tx:
        found = tx.analyses.one(CALLER, ALICE.user_id, given.id)

    assert found == given
    assert found is not None
    assert (found.answer.id, found.answer.digest) == (given.answer.id, given.answer.digest)
    assert str(found.answer.cost) == str(given.answer.cost)


@pytest.mark.parametrize("is_in_the_middle", [True, False])
def test_a_connection_that_broke_is_not_used_again(
    postgres_url: str, *, is_in_the_middle: bool
) -> None:
    # One connection: were it given back broken, or not at all, nothing would work afterwards.
    database = SqlDatabase(postgres_url, pool_size=1)
    backend = Prepared("SELECT pg_backend_pid()")

    def cut(tx: SqlTransaction) -> None:
        (pid,) = backend.one(tx.connection, {})
        if is_in_the_middle:
            cut_off(postgres_url, pid)
            backend.one(tx.connection, {})

    with database.transaction() as tx:
        (first,) = backend.one(tx.connection, {})
    if not is_in_the_middle:
        cut_off(postgres_url, first)
    with pytest.raises(DatabaseUnavailableError), database.transaction() as tx:
        cut(tx)
    for _ in range(2):
        with database.transaction() as tx:
            (another,) = backend.one(tx.connection, {})
            assert another != first
    assert database.connections_in_use() == 0
    database.close()


def cut_off(url: str, pid: int) -> None:
    """End a session from the server's side, and wait until it has ended."""
    with psycopg.connect(url, autocommit=True) as operator:
        row = operator.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,)).fetchone()
    assert row == (True,)
