"""What the flight table promises, on both databases."""

import tracemalloc
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from askonce.core.caching import Accepted, CacheRules
from askonce.core.flights import FlightState, Lease, Seen
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.entries import RememberedAnswers
from askonce.db.rows import AnswerRow
from tests.contracts.recalling import recall
from tests.examples import ALICE, ANY_FRESH, BOB, CALLER, DAY, KEY, NOW, PLAIN, STRANGER
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer


def claim(
    database: SqlDatabase, owner: str = "one", accepted: Accepted = ANY_FRESH
) -> Lease | None:
    with database.transaction() as tx:
        return tx.flights.claim(KEY, tenant="default", owner=owner, accepted=accepted)


def claimed(database: SqlDatabase, owner: str = "one", accepted: Accepted = ANY_FRESH) -> Lease:
    lease = claim(database, owner, accepted)
    assert lease is not None
    return lease


def seen(database: SqlDatabase) -> Seen:
    with database.reading() as tx:
        return tx.flights.read([KEY])[KEY]


def add_answer(tx: SqlTransaction, text: str = "first") -> int:
    return keep_answer(tx, question(), answer(text=text), tenant="default", fingerprint=KEY, at=NOW)


def land(database: SqlDatabase, lease: Lease, text: str = "first") -> int | None:
    """Keep an answer for a day, with a history row for Alice; None when it may not stand."""
    with database.transaction() as tx:
        answer_id = add_answer(tx, text)
        analysis = tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)
        assert analysis is not None
        landed = tx.flights.land(lease, answer_id=answer_id, stored_at=NOW, expires_at=NOW + DAY)
        return analysis.id if landed else None


def recalled(database: SqlDatabase, at: datetime = NOW, *, rules: CacheRules = PLAIN) -> str | None:
    with database.transaction() as tx:
        kept = recall(tx, BOB, at, rules=rules)
    return None if kept is None else kept.analysis.answer.text


def test_a_question_in_flight_cannot_be_claimed_again(database: SqlDatabase) -> None:
    claimed(database, "one")

    assert claim(database, "two") is None


def test_a_fresh_entry_cannot_be_claimed(database: SqlDatabase) -> None:
    land(database, claimed(database))

    assert claim(database, "two") is None


def test_an_entry_is_fresh_while_its_age_is_less_than_the_ttl(database: SqlDatabase) -> None:
    land(database, claimed(database))

    assert recalled(database, NOW + DAY - timedelta(microseconds=1)) == "first"
    assert recalled(database, NOW + DAY) is None
    assert claim(database, "two", Accepted(now=NOW + DAY)) is not None


def test_an_entry_from_the_future_is_not_served(database: SqlDatabase) -> None:
    land(database, claimed(database))

    set_back = NOW - timedelta(hours=3)
    assert recalled(database, set_back) is None
    assert claim(database, "two", Accepted(now=set_back)) is not None


def test_no_cache_claims_although_there_is_a_fresh_entry(database: SqlDatabase) -> None:
    first = claimed(database)
    land(database, first)

    lease = claimed(database, "two", CacheRules(no_cache=True).accepted(NOW))

    assert lease.epoch == first.epoch + 1


def test_the_old_entry_is_served_until_its_refresh_lands(database: SqlDatabase) -> None:
    land(database, claimed(database))
    refresh = claimed(database, "two", CacheRules(no_cache=True).accepted(NOW))

    before = recalled(database)
    land(database, refresh, "second")

    assert (before, recalled(database)) == ("first", "second")


def test_max_age_refuses_an_entry_that_is_as_old_as_it_says(database: SqlDatabase) -> None:
    land(database, claimed(database))

    rules = CacheRules(max_age=timedelta(seconds=60))

    assert recalled(database, NOW + timedelta(seconds=59), rules=rules) == "first"
    assert recalled(database, NOW + timedelta(seconds=60), rules=rules) is None


def test_the_first_answer_of_an_epoch_stands(database: SqlDatabase) -> None:
    frozen = claimed(database, "one")
    with database.transaction() as tx:
        successor = tx.flights.take_over(KEY, seen_of(tx), owner="two")
    assert successor is not None

    first = land(database, successor, "the successor's")
    second = land(database, frozen, "the frozen one's")

    assert first is not None
    assert second is None
    assert recalled(database) == "the successor's"


def seen_of(tx: SqlTransaction) -> Seen:
    return tx.flights.read([KEY])[KEY]


def test_a_frozen_leader_may_land_before_its_successor_does(database: SqlDatabase) -> None:
    frozen = claimed(database, "one")
    with database.transaction() as tx:
        tx.flights.take_over(KEY, seen_of(tx), owner="two")

    assert land(database, frozen, "paid for") is not None


def test_a_paid_answer_is_kept_although_its_flight_was_given_up(database: SqlDatabase) -> None:
    frozen = claimed(database)
    with database.transaction() as tx:
        tx.flights.give_up(KEY, seen_of(tx), failure="{}")

    land(database, frozen, "paid for")

    assert recalled(database) == "paid for"


def test_a_leader_that_beats_cannot_be_taken_over(database: SqlDatabase) -> None:
    claimed(database)
    before = seen(database)
    with database.transaction() as tx:
        tx.flights.beat([KEY], "one")

    with database.transaction() as tx:
        assert tx.flights.take_over(KEY, before, owner="two") is None
        assert not tx.flights.probe(KEY, before)
        assert not tx.flights.give_up(KEY, before, failure="{}")


def test_only_one_of_two_takes_over(database: SqlDatabase) -> None:
    claimed(database)
    silent = seen(database)

    with database.transaction() as tx:
        first = tx.flights.take_over(KEY, silent, owner="two")
    with database.transaction() as tx:
        second = tx.flights.take_over(KEY, silent, owner="three")

    assert first is not None
    assert second is None


def test_a_probe_does_not_look_like_a_heartbeat(database: SqlDatabase) -> None:
    claimed(database)
    silent = seen(database)

    with database.transaction() as tx:
        assert tx.flights.probe(KEY, silent)

    with database.transaction() as tx:
        assert tx.flights.take_over(KEY, silent, owner="two") is not None


def test_a_lease_that_was_taken_over_is_not_held(database: SqlDatabase) -> None:
    old = claimed(database)
    with database.transaction() as tx:
        new = tx.flights.take_over(KEY, seen_of(tx), owner="two")
        assert new is not None

        assert not tx.flights.holds(old)
        assert tx.flights.holds(new)


def test_a_heartbeat_of_another_process_changes_nothing(database: SqlDatabase) -> None:
    claimed(database, "one")

    with database.transaction() as tx:
        tx.flights.beat([KEY], "somebody else")

    assert seen(database).beat == 0


def test_a_failed_flight_can_be_claimed_again_and_tells_why(database: SqlDatabase) -> None:
    lease = claimed(database)
    with database.transaction() as tx:
        tx.flights.fail(lease, failure='{"kind": "rejected"}')

    failed = seen(database)
    again = claim(database, "two")

    assert (failed.state, failed.failure) == (FlightState.FAILED, '{"kind": "rejected"}')
    assert again is not None
    assert again.epoch == lease.epoch + 1
    assert again.fence > lease.fence


def test_a_leader_that_was_replaced_cannot_end_the_flight(database: SqlDatabase) -> None:
    old = claimed(database)
    with database.transaction() as tx:
        tx.flights.take_over(KEY, seen_of(tx), owner="two")

    with database.transaction() as tx:
        assert not tx.flights.fail(old, failure="{}")


def test_a_failed_refresh_leaves_the_old_entry(database: SqlDatabase) -> None:
    land(database, claimed(database))
    refresh = claimed(database, "two", CacheRules(no_cache=True).accepted(NOW))

    with database.transaction() as tx:
        tx.flights.fail(refresh, failure="{}")

    assert recalled(database) == "first"


def test_what_was_deleted_during_a_refresh_does_not_come_back(database: SqlDatabase) -> None:
    first = land(database, claimed(database))
    refresh = claimed(database, "two", CacheRules(no_cache=True).accepted(NOW))
    assert first is not None

    with database.transaction() as tx:
        assert tx.analyses.remove(CALLER, first)

    assert land(database, refresh, "second") is None
    assert recalled(database) is None


def test_another_tenants_entry_is_never_recalled(database: SqlDatabase) -> None:
    land(database, claimed(database))

    with database.transaction() as tx:
        assert recall(tx, STRANGER) is None


@pytest.mark.parametrize("fields", [{"answer_id": None}, {"stored_at": None}])
def test_an_entry_is_whole_or_not_there(database: SqlDatabase, fields: dict[str, None]) -> None:
    from sqlalchemy.exc import IntegrityError

    from askonce.db.rows import FlightRow

    land(database, claimed(database))

    with pytest.raises(IntegrityError), database.transaction() as tx:
        tx.connection.execute(update(FlightRow).values(fields))


def test_what_was_undone_is_not_remembered_for_the_answer_that_gets_its_number(
    database: SqlDatabase,
) -> None:
    lease = claimed(database)
    with suppress(ZeroDivisionError), database.transaction() as tx:
        undone = add_answer(tx, "undone")
        tx.flights.land(lease, answer_id=undone, stored_at=NOW, expires_at=NOW + DAY)
        assert recall(tx, BOB) is not None
        raise ZeroDivisionError

    land(database, lease, "the one that stands")

    assert recalled(database) == "the one that stands"


def test_answers_from_before_there_was_a_trail_are_given(database: SqlDatabase) -> None:
    land(database, claimed(database), "old")
    with database.transaction() as tx:
        tx.connection.execute(update(AnswerRow).values(salt=None, digest=None))

    assert [recalled(database), recalled(database)] == ["old", "old"]


def test_short_answers_count_with_what_remembering_them_takes(database: SqlDatabase) -> None:
    remembered = RememberedAnswers(most_characters=20_000)
    with database.transaction() as tx:
        for number in range(300):
            add_answer(tx, str(number))
        rows = tx.connection.execute(select(AnswerRow.id, AnswerRow.digest)).all()
        names = [(row.id, row.digest) for row in rows]
        remembered.of(tx.connection, names[:1])
        tracemalloc.start()
        remembered.of(tx.connection, names)
        taken = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()

    # All of them would take 200 kB; a session of SQLAlchemy's takes some of it, too.
    assert taken < 100_000


def test_answers_are_remembered_up_to_a_bound(database: SqlDatabase) -> None:
    remembered = RememberedAnswers(most_characters=1_900)
    with database.transaction() as tx:
        ids = [add_answer(tx, text) for text in ("a" * 50, "b" * 40, "c" * 40)]
        rows = tx.connection.execute(select(AnswerRow.id, AnswerRow.digest)).all()
        names = sorted((row.id, row.digest) for row in rows)
        for name in (*names, names[0]):
            ((_, said),) = remembered.of(tx.connection, [name]).values()
            assert said.id == name[0]

    assert [name[0] for name in names] == ids
    assert remembered.characters() <= 1_900
