"""What an erasure does where HTTP cannot look: the spool, other hosts, many rows, eras."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from askonce.core.access import Caller
from askonce.core.erasure import is_erased
from askonce.core.ports import HistoryFilter
from askonce.core.retention import Kind
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.ledger import GroupCommitLedger
from askonce.services.booking import Reads
from askonce.services.defaults import Defaults
from askonce.services.erasure import Erasure
from askonce.services.preferences import Preferences
from tests.contracts.homes import Home, claimed, opened
from tests.examples import ALICE, BOB, CALLER, DAY, KEY, NOW, STRANGER, a_question, an_answer
from tests.keeping import keep_answer
from tests.serving import until

AT_FIRST = replace(ALICE, era=0)
DEFAULTS = Defaults(
    provider="claude",
    models={"claude": "m"},
    fixed=frozenset(),
    max_output_tokens=100,
    fallbacks=(),
)


@pytest.fixture
def ledger(database: SqlDatabase) -> Iterator[GroupCommitLedger]:
    ledger = GroupCommitLedger(database)
    yield ledger
    ledger.close()


@pytest.fixture
def home(database: SqlDatabase, ledger: GroupCommitLedger, tmp_path: Path) -> Iterator[Home]:
    home = Home(database, ledger, tmp_path / "spool")
    yield home
    home.recovery.close()


@pytest.fixture
def erasure(home: Home, ledger: GroupCommitLedger) -> Erasure:
    return Erasure(
        database=home.database,
        spool=home.spool,
        recovery=home.recovery,
        preferences=Preferences(
            database=home.database,
            ledger=ledger,
            reads=Reads(ledger, home.clock),
            defaults=DEFAULTS,
            clock=home.clock,
        ),
        clock=home.clock,
    )


def begin_era(database: SqlDatabase, at: timedelta = timedelta()) -> None:
    with database.transaction() as tx:
        tx.erasures.begin("default", "alice", at=NOW + at)


def prune(database: SqlDatabase, at: timedelta) -> None:
    with database.transaction() as tx:
        rows = tx.prunable(Kind.ERASURES)
        keys = [old.key for old in rows.look(None, before=NOW + at, limit=9).old]
        rows.remove(keys, before=NOW + at)


def test_a_spooled_answer_of_a_dead_process_is_booked_and_gone(
    home: Home, erasure: Erasure
) -> None:
    home.left_behind("dead", asker=AT_FIRST)

    receipt = erasure.erase(CALLER, "alice")
    home.start()

    assert receipt.deleted["spooled_answers"] == 1
    assert home.attempts() == [("duplicate", 23)]
    assert home.history() == []
    assert list(home.folder.iterdir()) == []


def test_a_spooled_answer_of_a_living_process_is_gone_and_its_commit_brings_nothing(
    home: Home, erasure: Erasure
) -> None:
    purchase = home.left_behind("alive", asker=AT_FIRST)

    erasure.erase(CALLER, "alice")
    # Its leader wrote it once more, while it waited for the database.
    home.spool.put(replace(purchase, owner="dead"))
    home.start()

    assert home.history() == []
    assert home.hit() is None
    assert list(home.folder.iterdir()) == []


def test_an_answer_that_comes_home_after_its_era_was_forgotten_brings_nothing(
    home: Home, erasure: Erasure
) -> None:
    purchase = home.left_behind("alive", asker=AT_FIRST)
    erasure.erase(CALLER, "alice")
    prune(home.database, 9 * DAY)

    home.spool.put(replace(purchase, owner="dead"))
    with home.database.transaction() as tx:
        tx.connection.execute(text("UPDATE attempts SET owner = 'dead'"))
    home.start()

    assert home.attempts() == [("duplicate", 23)]
    assert home.history() == []


def test_files_that_were_set_aside_go_and_those_of_others_stay(
    home: Home, erasure: Erasure
) -> None:
    home.spool.set_aside(home.left_behind("alive", asker=AT_FIRST))
    with home.database.transaction() as tx:
        tx.connection.execute(text("DELETE FROM flights"))
    others = home.left_behind("alive", asker=BOB)

    receipt = erasure.erase(CALLER, "alice")

    assert receipt.deleted["spooled_answers"] == 1
    assert home.spool.waiting() == [others]


def test_only_the_user_of_this_tenant_is_erased(home: Home, erasure: Erasure) -> None:
    with home.database.transaction() as tx:
        for asker in (ALICE, BOB, STRANGER):
            give(tx, asker.tenant, asker.user_id)

    erasure.erase(Caller(tenant="other"), "alice")

    assert len(home.history()) == 1
    with home.database.reading() as tx:
        assert not tx.analyses.newest(Caller(tenant="other"), "alice", HistoryFilter()).items
        assert tx.analyses.newest(CALLER, "bob", HistoryFilter()).items


def give(tx: SqlTransaction, tenant: str, user_id: str) -> None:
    asker = replace(ALICE, tenant=tenant, user_id=user_id)
    answer_id = keep_answer(tx, a_question(), an_answer(), tenant=tenant, fingerprint=KEY, at=NOW)
    tx.analyses.add(asker, answer_id, cached=False, at=NOW)


def test_what_began_before_an_erasure_is_told_from_what_began_after(database: SqlDatabase) -> None:
    with database.reading() as tx:
        (before,) = tx.erasures.eras([ALICE])

    begin_era(database)
    begin_era(database)

    with database.reading() as tx:
        (after,) = tx.erasures.eras([ALICE])
        assert is_erased(tx.erasures, replace(ALICE, era=before))
        assert not is_erased(tx.erasures, replace(ALICE, era=after))
        assert not is_erased(tx.erasures, replace(BOB, era=before))
        assert not is_erased(tx.erasures, replace(STRANGER, era=before))


def test_a_forgotten_era_does_not_end_who_began_in_it_and_the_next_one_is_later(
    database: SqlDatabase,
) -> None:
    begin_era(database)
    with database.reading() as tx:
        (era,) = tx.erasures.eras([ALICE])

    prune(database, 2 * DAY)
    with database.reading() as tx:
        assert tx.erasures.eras([ALICE]) == [0]
        assert not is_erased(tx.erasures, replace(ALICE, era=era))

    begin_era(database, 2 * DAY)
    with database.reading() as tx:
        assert is_erased(tx.erasures, replace(ALICE, era=era))


def test_more_rows_than_one_portion_holds_are_erased_in_one_transaction(
    database: SqlDatabase,
) -> None:
    with database.transaction() as tx:
        insert_many(tx, 2_500, each=2)
        lease = claimed(tx, "one")
        opened(tx, lease, "one")

    with pytest.raises(ZeroDivisionError), database.transaction() as tx:
        erase_and_die(tx)
    assert count(database, "analyses") == 5_000

    with database.transaction() as tx:
        receipt = tx.erasures.erase("default", "alice", at=NOW)

    assert (receipt.deleted["analyses"], receipt.deleted["answers"]) == (5_000, 2_500)
    assert [count(database, table) for table in ("analyses", "answers", "answers_words")] == [0] * 3


def test_an_erasure_waits_for_who_is_just_writing_in_the_old_era(postgres_url: str) -> None:
    database = SqlDatabase(postgres_url)
    waiting = text(
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'erasures'::regclass"
    )

    def is_waiting() -> bool:
        with database.reading() as tx:
            return bool(tx.connection.execute(waiting).scalar_one())

    def erase() -> int:
        begin_era(database)
        with database.transaction() as tx:
            return tx.erasures.erase("default", "alice", at=NOW).deleted["analyses"]

    with ThreadPoolExecutor(1) as thread:
        with database.transaction() as tx:
            assert not is_erased(tx.erasures, AT_FIRST)
            give(tx, "default", "alice")
            erased = thread.submit(erase)
            until(is_waiting)
        assert erased.result() == 1
    database.close()


def erase_and_die(tx: SqlTransaction) -> None:
    tx.erasures.erase("default", "alice", at=NOW)
    raise ZeroDivisionError


def insert_many(tx: SqlTransaction, answers: int, each: int = 1) -> None:
    """Insert so many answers, and let alice be given each of them so often."""
    now = NOW.replace(tzinfo=None)
    tx.connection.execute(_MANY_ANSWERS, {"n": answers, "key": KEY, "now": now})
    tx.connection.execute(_MANY_ANALYSES, {"n": each, "now": now})


_MANY_ANSWERS = text(
    "INSERT INTO answers (tenant, fingerprint, text, result, is_structured, provider, model,"
    " finish_reason, tokens_in, tokens_out, cost, created_at)"
    " WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :n)"
    " SELECT 'default', :key, 'text ' || n, 'result ' || n, false, 'claude', 'm', 'stop', 1, 1,"
    " NULL, :now FROM numbers"
)
_MANY_ANALYSES = text(
    "INSERT INTO analyses (tenant, user_id, answer_id, cached, created_at)"
    " WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :n)"
    " SELECT 'default', 'alice', answers.id, false, :now FROM numbers, answers"
)


def count(database: SqlDatabase, table: str) -> int:
    with database.reading() as tx:
        counted = tx.connection.execute(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
        return int(counted.scalar_one())
