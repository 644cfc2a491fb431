"""The one writer: many works, one commit, and a failure takes only its own work down."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import pytest
from sqlalchemy import func, select

from askonce.core.errors import DatabaseUnavailableError
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.ledger import GroupCommitLedger
from askonce.db.rows import AnswerRow
from tests.examples import KEY, NOW
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer


def add(tx: SqlTransaction) -> int:
    return keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)


def fail(tx: SqlTransaction) -> int:
    add(tx)
    message = "this work is broken"
    raise LookupError(message)


def rows(database: SqlDatabase) -> int:
    with database.reading() as tx:
        return tx.connection.execute(select(func.count()).select_from(AnswerRow)).scalar_one()


def test_works_that_wait_together_are_committed_together(database: SqlDatabase) -> None:
    ledger = GroupCommitLedger(database)
    is_held, may_go = threading.Event(), threading.Event()
    transactions: set[int] = set()

    def hold(_: SqlTransaction) -> None:
        is_held.set()
        may_go.wait()

    def note(tx: SqlTransaction) -> int:
        transactions.add(id(tx))
        return add(tx)

    ledger.write(hold)
    is_held.wait()
    futures = [ledger.write(note) for _ in range(50)]
    may_go.set()

    assert len({future.result(60) for future in futures}) == 50
    assert len(transactions) == 1
    ledger.close()


def test_a_broken_work_takes_only_itself_down(database: SqlDatabase) -> None:
    ledger = GroupCommitLedger(database)
    is_held, may_go = threading.Event(), threading.Event()

    def hold(_: SqlTransaction) -> None:
        is_held.set()
        may_go.wait()

    ledger.write(hold)
    is_held.wait()
    before, broken, after = ledger.write(add), ledger.write(fail), ledger.write(add)
    may_go.set()

    assert before.result(60) != after.result(60)
    with pytest.raises(LookupError):
        broken.result(60)
    assert rows(database) == 2
    ledger.close()


def test_what_is_resolved_is_committed(database: SqlDatabase) -> None:
    ledger = GroupCommitLedger(database)

    ledger.write(add).result(60)

    assert rows(database) == 1
    ledger.close()


def test_closing_writes_what_waits(database: SqlDatabase) -> None:
    ledger = GroupCommitLedger(database)

    futures: list[Future[int]] = [ledger.write(add) for _ in range(20)]
    ledger.close()

    assert all(future.done() for future in futures)
    assert rows(database) == 20


def test_a_locked_database_is_our_own_error(sqlite_url: str) -> None:
    holder, waiter = SqlDatabase(sqlite_url), SqlDatabase(sqlite_url, busy_seconds=0.2)
    ledger = GroupCommitLedger(waiter)

    with holder.transaction(), pytest.raises(DatabaseUnavailableError):
        ledger.write(add).result(60)

    assert ledger.write(add).result(60) == 1
    ledger.close()
    holder.close()
    waiter.close()


def test_items_of_one_kind_are_written_with_one_run(database: SqlDatabase) -> None:
    ledger = GroupCommitLedger(database)
    is_held, may_go = threading.Event(), threading.Event()
    runs: list[list[int]] = []

    def hold(_: SqlTransaction) -> None:
        is_held.set()
        may_go.wait()

    def double(_: SqlTransaction, numbers: Sequence[int]) -> list[int]:
        runs.append(list(numbers))
        return [2 * number for number in numbers]

    ledger.write(hold)
    is_held.wait()
    doubled = [ledger.write_together(double, number) for number in range(5)]
    may_go.set()

    assert [future.result(10) for future in doubled] == [0, 2, 4, 6, 8]
    assert runs == [[0, 1, 2, 3, 4]]
    ledger.close()


def test_an_item_that_fails_takes_only_itself_down(database: SqlDatabase) -> None:
    ledger = GroupCommitLedger(database)
    is_held, may_go = threading.Event(), threading.Event()

    def hold(_: SqlTransaction) -> None:
        is_held.set()
        may_go.wait()

    def add_all(tx: SqlTransaction, numbers: Sequence[int]) -> list[int]:
        ids = [add(tx) for _ in numbers]
        if 1 in numbers:
            raise LookupError
        return ids

    ledger.write(hold)
    is_held.wait()
    first, broken, last = (ledger.write_together(add_all, number) for number in range(3))
    may_go.set()

    assert first.result(10) != last.result(10)
    with pytest.raises(LookupError):
        broken.result(10)
    assert rows(database) == 2
    ledger.close()


def test_works_of_a_kind_see_nothing_that_their_batch_may_yet_undo(database: SqlDatabase) -> None:
    ledger = GroupCommitLedger(database)
    is_held, may_go = threading.Event(), threading.Event()

    def hold(_: SqlTransaction) -> None:
        is_held.set()
        may_go.wait()

    def count(tx: SqlTransaction, items: Sequence[None]) -> list[int]:
        found = tx.connection.execute(select(func.count()).select_from(AnswerRow)).scalar_one()
        return [found for _ in items]

    ledger.write(hold)
    is_held.wait()
    added = ledger.write(add)
    counted = ledger.write_together(count, None)
    may_go.set()

    added.result(10)
    assert counted.result(10) == 0
    ledger.close()


def test_a_crowd_of_slow_works_lets_quick_ones_through(sqlite_url: str) -> None:
    database = SqlDatabase(sqlite_url)
    ledger = GroupCommitLedger(database)
    is_held, may_go = threading.Event(), threading.Event()
    crowds: list[SqlTransaction] = []
    quicks: list[SqlTransaction] = []

    def hold(_: SqlTransaction) -> None:
        is_held.set()
        may_go.wait()

    def quick(tx: SqlTransaction, items: Sequence[int]) -> Sequence[int]:
        quicks.append(tx)
        return items

    ledger.write(hold)
    is_held.wait()
    crowd = [ledger.write(crowds.append) for _ in range(300)]
    one = ledger.write_together(quick, 1)
    may_go.set()

    assert one.result(60) == 1
    ledger.close()
    assert all(future.done() for future in crowd)
    assert len(crowds) == 300
    beside = [tx for tx in crowds if tx is quicks[0]]
    assert beside == crowds[: len(beside)], "the first batch is that of the quick one"
    assert 0 < len(beside) < 100
    database.close()
