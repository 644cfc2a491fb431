"""What was left behind comes home, once, and never against a deletion; on both databases."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from askonce.core.caching import Accepted
from askonce.core.flights import Lease
from askonce.core.idempotency import IdempotencyKey
from askonce.db.database import SqlDatabase
from askonce.db.ledger import GroupCommitLedger
from tests.contracts.homes import GIVEN_UP_AFTER, Home, claimed, opened
from tests.examples import ALICE, CALLER, DAY, KEY, NOW, a_purchase, a_question, an_answer
from tests.keeping import keep_answer


@pytest.fixture
def home(database: SqlDatabase, tmp_path: Path) -> Iterator[Home]:
    ledger = GroupCommitLedger(database)
    home = Home(database, ledger, tmp_path / "spool")
    yield home
    home.recovery.close()
    ledger.close()


def test_the_answer_of_a_dead_process_comes_home(home: Home) -> None:
    home.left_behind()

    home.start()

    assert home.history() == [an_answer().text]
    assert home.hit() == an_answer().text
    assert home.attempts() == [("answered", 23)]
    assert home.spool.waiting() == []


def test_an_entry_is_as_old_as_its_answer(home: Home) -> None:
    home.left_behind()
    home.clock.advance(3600)

    home.start()

    assert home.hit(NOW + DAY - timedelta(seconds=1)) is not None
    assert home.hit(NOW + DAY) is None


def test_an_answer_that_is_too_old_to_be_served_is_in_the_history_all_the_same(home: Home) -> None:
    home.left_behind()
    home.clock.advance(2 * 86_400)

    home.start()

    assert home.history() == [an_answer().text]
    assert home.hit(home.clock.now()) is None
    with home.database.transaction() as tx:
        claimed(tx, "next", Accepted(now=home.clock.now()))


def test_an_answer_outside_the_cache_comes_home_into_the_history_alone(home: Home) -> None:
    home.left_behind(has_lease=False, is_kept=False)

    home.start()

    assert home.history() == [an_answer().text]
    assert home.hit() is None
    assert home.attempts() == [("answered", 23)]


def test_an_idempotency_key_stands_for_what_came_home(home: Home) -> None:
    asker = replace(ALICE, key=IdempotencyKey(scope=bytes(32), digest=bytes(32)))
    assert asker.key is not None
    with home.database.transaction() as tx:
        tx.idempotency_keys.begin(asker.key, asker, at=NOW)
    home.left_behind(asker=asker)

    home.start()

    with home.database.transaction() as tx:
        replayed = tx.idempotency_keys.begin(asker.key, asker, at=NOW)
    assert getattr(replayed, "id", None) == 1


def test_the_answer_of_a_living_process_is_its_own_business(home: Home) -> None:
    purchase = home.left_behind("alive")
    home.clock.advance(86_400)

    home.start()

    assert home.spool.waiting() == [purchase]
    assert home.attempts() == [("open", None)]


def test_a_process_that_nothing_is_known_of_is_given_time(home: Home) -> None:
    purchase = home.left_behind("elsewhere")
    home.clock.advance(GIVEN_UP_AFTER.total_seconds())

    early = home.recovery.recovered(KEY)
    home.clock.advance(1)
    late = home.recovery.recovered(KEY)

    assert (early, late) == (False, True)
    assert home.history() == [purchase.answer.text]


def test_what_has_come_home_does_not_come_again(home: Home) -> None:
    purchase = home.left_behind()
    home.recovery.recovered(KEY)
    home.spool.put(purchase)

    home.start()

    assert home.history() == [an_answer().text]
    assert home.spool.waiting() == []


def test_an_attempt_that_was_given_up_is_corrected(home: Home) -> None:
    home.left_behind()
    with home.database.transaction() as tx:
        tx.attempts.abandon(KEY, owner="dead", at=NOW)

    home.start()

    assert home.attempts() == [("answered", 23)]
    assert home.history() == [an_answer().text]


def test_whoever_was_quicker_in_the_same_epoch_stands(home: Home) -> None:
    home.left_behind(answer=an_answer(text="slow"))
    with home.database.transaction() as tx:
        seen = tx.flights.read([KEY])[KEY]
        lease = tx.flights.take_over(KEY, seen, owner="quick")
        assert lease is not None
        answer = an_answer(text="quick")
        added = keep_answer(tx, a_question(), answer, tenant="default", fingerprint=KEY, at=NOW)
        tx.flights.land(lease, answer_id=added, stored_at=NOW, expires_at=NOW + DAY)

    home.start()

    assert home.history() == []
    assert home.hit() == "quick"
    assert home.attempts() == [("duplicate", 23)]


def test_what_was_deleted_does_not_come_back(home: Home) -> None:
    home.left_behind(answer=an_answer(text="first"))
    home.recovery.recovered(KEY)
    refresh = Accepted(now=NOW, stored_after=NOW)
    with home.database.transaction() as tx:
        lease = claimed(tx, "dead too", refresh)
        again = opened(tx, lease, "dead too")
    home.spool.put(a_purchase(owner="dead too", lease=lease, attempt_id=again))
    with home.database.transaction() as tx:
        assert tx.analyses.remove(CALLER, 1)

    home.start()

    assert home.history() == []
    assert home.hit() is None
    assert home.attempts() == [("answered", 23), ("duplicate", 23)]
    assert home.spool.waiting() == []


def test_an_answer_that_does_not_fit_its_schema_is_booked_and_not_given(home: Home) -> None:
    home.left_behind(question=a_question(output_schema='{"type": "integer"}'))

    home.start()

    assert home.history() == []
    assert home.attempts() == [("invalid", 23)]


def test_an_answer_to_a_call_that_this_database_never_saw_is_dropped(home: Home) -> None:
    home.spool.put(a_purchase())

    home.start()

    assert home.history() == []
    assert home.spool.waiting() == []


def test_one_answer_that_cannot_be_committed_does_not_hold_up_the_others(home: Home) -> None:
    home.left_behind(has_lease=False, answer=an_answer(tokens_in=-1))
    home.left_behind()

    home.start()

    assert home.history() == [an_answer().text]
    assert home.spool.waiting() == []
    assert [file.suffix for file in home.folder.iterdir()] == [".bad"]


def test_what_this_process_could_not_commit_comes_home_when_it_can(home: Home) -> None:
    purchase = home.left_behind("self")
    home.start()

    home.recovery.park(purchase)

    assert home.recovery.recovered(KEY) or home.history() == [an_answer().text]
    assert home.history() == [an_answer().text]


def test_calls_that_the_dead_left_open_are_booked_as_unknown(home: Home) -> None:
    old = NOW - GIVEN_UP_AFTER - timedelta(seconds=1)
    lease = Lease(fingerprint=KEY, epoch=1, fence=1)
    with home.database.transaction() as tx:
        for owner, at in (
            ("dead", NOW),
            ("dead", NOW),
            ("alive", old),
            ("elsewhere", NOW),
            ("elsewhere", old),
            ("self", old),
        ):
            opened(tx, lease, owner, at)

    with capture_logs() as logs:
        home.start()

    outcomes = [outcome for outcome, _ in home.attempts()]
    assert outcomes == ["unknown", "unknown", "open", "open", "unknown", "open"]
    assert [(line["event"], line["count"]) for line in logs] == [("attempts_found_open", 3)]
