"""What is removed once it is old, and what stays, on both databases."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from askonce.core.access import Asker
from askonce.core.answers import Answer
from askonce.core.attempts import Outcome
from askonce.core.caching import Accepted
from askonce.core.conversations import NewSession, Role, Turn
from askonce.core.flights import Lease
from askonce.core.idempotency import IdempotencyKey, Repeat
from askonce.core.ports import HistoryFilter, Kept
from askonce.core.retention import Kind
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.rows import AnalysisRow, AnswerRow, AttemptRow, FlightRow, IdempotencyRow, Row
from askonce.services.retention import Retention
from tests.contracts.homes import claimed, opened
from tests.contracts.recalling import recall
from tests.examples import ALICE, BOB, CALLER, DAY, KEY, NOW
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.fakes.clock import FakeClock
from tests.keeping import keep_answer

HOUR = timedelta(hours=1)
MOMENT = timedelta(microseconds=1)
WEEK = timedelta(days=7)


def prune(
    database: SqlDatabase,
    now: datetime,
    *,
    history: timedelta | None = None,
    is_rehearsal: bool = False,
) -> dict[Kind, tuple[int, int]]:
    """Remove what is old at a moment; return rows and answers of each kind that had any."""
    retention = Retention(database=database, clock=FakeClock(now), history=history)
    gone: dict[Kind, tuple[int, int]] = {}
    for step in retention.prune(is_rehearsal=is_rehearsal):
        rows, answers = gone.get(step.kind, (0, 0))
        gone[step.kind] = (rows + step.gone.rows, answers + step.gone.answers)
    return {kind: counts for kind, counts in gone.items() if counts != (0, 0)}


def bought(
    database: SqlDatabase, *, key: bytes = KEY, asker: Asker = ALICE, at: datetime = NOW
) -> tuple[Lease, int]:
    """Let somebody ask and be answered; return the lease and the answer's id."""
    with database.transaction() as tx:
        lease = tx.flights.claim(key, tenant="default", owner="one", accepted=Accepted(now=at))
        assert lease is not None
        attempt_id = opened(tx, lease, "one", at)
        answer_id = landed(tx, lease, answer(), at)
        tx.attempts.settle(
            attempt_id, Outcome.ANSWERED, at=at, answer=answer(), answer_id=answer_id
        )
        assert tx.analyses.add(asker, answer_id, cached=False, at=at) is not None
        return lease, answer_id


def landed(tx: SqlTransaction, lease: Lease, said: Answer, at: datetime) -> int:
    answer_id = keep_answer(
        tx, question(), said, tenant="default", fingerprint=lease.fingerprint, at=at
    )
    tx.flights.land(lease, answer_id=answer_id, stored_at=at, expires_at=at + DAY)
    return answer_id


def given(database: SqlDatabase, answer_id: int, asker: Asker, at: datetime) -> None:
    with database.transaction() as tx:
        assert tx.analyses.add(asker, answer_id, cached=True, at=at) is not None


def recalled(database: SqlDatabase, at: datetime) -> Kept | None:
    with database.transaction() as tx:
        return recall(tx, BOB, at)


def count(database: SqlDatabase, table: type[Row]) -> int:
    with database.reading() as tx:
        return tx.connection.execute(select(func.count()).select_from(table)).scalar_one()


def test_an_entry_goes_an_hour_after_it_expired_and_the_history_stays(
    database: SqlDatabase,
) -> None:
    bought(database)

    assert prune(database, NOW + DAY + HOUR - MOMENT) == {}
    assert prune(database, NOW + DAY + HOUR) == {Kind.ENTRIES: (1, 0)}
    assert (count(database, FlightRow), count(database, AnswerRow)) == (0, 1)
    assert (count(database, AnalysisRow), count(database, AttemptRow)) == (1, 1)


def test_a_question_whose_row_went_is_asked_anew(database: SqlDatabase) -> None:
    old, _ = bought(database)
    prune(database, NOW + WEEK)

    new, _ = bought(database, at=NOW + WEEK)

    assert new.epoch > old.epoch
    assert new.fence > old.fence
    assert recalled(database, NOW + WEEK) is not None


def test_a_leader_that_slept_through_it_all_holds_nothing_and_lands_nowhere(
    database: SqlDatabase,
) -> None:
    frozen, _ = bought(database)
    prune(database, NOW + WEEK)
    with database.transaction() as tx:
        new = claimed(tx, "two", Accepted(now=NOW + WEEK))

        assert tx.flights.holds(new)
        assert not tx.flights.holds(frozen)
        assert not tx.flights.fail(frozen, failure="{}")
        answer_id = keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)
        assert not tx.flights.land(frozen, answer_id=answer_id, stored_at=NOW, expires_at=NOW + DAY)


def left_open(tx: SqlTransaction) -> None:
    opened(tx, claimed(tx, "one"), "one")


def left_by_the_dead(tx: SqlTransaction) -> None:
    lease = claimed(tx, "one")
    opened(tx, lease, "one")
    tx.attempts.abandon(KEY, owner="one", at=NOW)
    tx.flights.fail(lease, failure="{}")


def taken_over(tx: SqlTransaction) -> None:
    opened(tx, claimed(tx, "one"), "one")
    seen = tx.flights.read([KEY])[KEY]
    lease = tx.flights.take_over(KEY, seen, owner="two")
    assert lease is not None
    tx.attempts.abandon(KEY, owner="one", at=NOW)
    landed(tx, lease, answer(), NOW)


@pytest.mark.parametrize("leave", [left_open, left_by_the_dead, taken_over])
def test_a_row_stays_while_an_answer_of_its_epoch_may_still_come(
    database: SqlDatabase, leave: Callable[[SqlTransaction], None]
) -> None:
    with database.transaction() as tx:
        leave(tx)

    assert prune(database, NOW + WEEK) == {}
    assert count(database, FlightRow) == 1


def timed_out(tx: SqlTransaction) -> None:
    lease = claimed(tx, "one")
    attempt_id = opened(tx, lease, "one")
    tx.attempts.settle(attempt_id, Outcome.UNKNOWN, at=NOW, reason="timeout")
    tx.flights.fail(lease, failure="{}")


def purged(tx: SqlTransaction) -> None:
    lease = claimed(tx, "one")
    opened(tx, lease, "one")
    answer_id = landed(tx, lease, answer(), NOW)
    analysis = tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)
    assert analysis is not None
    tx.analyses.remove(CALLER, analysis.id)


@pytest.mark.parametrize("leave", [timed_out, purged])
def test_a_row_without_an_entry_goes_an_hour_after_its_last_call_began(
    database: SqlDatabase, leave: Callable[[SqlTransaction], None]
) -> None:
    with database.transaction() as tx:
        leave(tx)

    assert prune(database, NOW + HOUR - MOMENT) == {}
    assert prune(database, NOW + HOUR) == {Kind.ENTRIES: (1, 0)}


def test_a_row_that_is_claimed_between_look_and_removal_stays(database: SqlDatabase) -> None:
    bought(database)
    with database.transaction() as tx:
        claimed(tx, "two", Accepted(now=NOW + WEEK))

    with database.transaction() as tx:
        gone = tx.prunable(Kind.ENTRIES).remove([KEY], before=NOW + WEEK)

    assert gone.rows == 0


def test_an_idempotency_key_goes_an_hour_after_it_stopped_counting(database: SqlDatabase) -> None:
    keys = [
        IdempotencyKey.of(str(n), tenant="default", key_id=None, path="/", body={})
        for n in range(3)
    ]
    with database.transaction() as tx:
        for key in keys[:2]:
            tx.idempotency_keys.begin(key, ALICE, at=NOW)
        tx.idempotency_keys.begin(keys[2], ALICE, at=NOW + MOMENT)

    assert prune(database, NOW + DAY + HOUR - MOMENT) == {}
    assert prune(database, NOW + DAY + HOUR) == {Kind.IDEMPOTENCY_KEYS: (2, 0)}
    assert count(database, IdempotencyRow) == 1


def test_history_is_kept_for_ever_unless_it_is_limited(database: SqlDatabase) -> None:
    bought(database)

    prune(database, NOW + 1000 * WEEK)

    assert (count(database, AnalysisRow), count(database, AttemptRow)) == (1, 1)


def test_limited_history_takes_along_the_answers_that_nobody_else_uses(
    database: SqlDatabase,
) -> None:
    bought(database, key=bytes(32))
    _, shared = bought(database)
    given(database, shared, BOB, NOW + DAY)

    assert prune(database, NOW + WEEK, history=WEEK) == {Kind.ENTRIES: (2, 0)}
    assert prune(database, NOW + WEEK + MOMENT, history=WEEK) == {
        Kind.ANALYSES: (2, 1),
        Kind.ATTEMPTS: (2, 0),
    }
    with database.reading() as tx:
        assert not tx.analyses.newest(CALLER, "alice", HistoryFilter()).items
        (left,) = tx.analyses.newest(CALLER, "bob", HistoryFilter(words=("cache",))).items
    assert left.created_at == NOW + DAY
    assert count(database, AnswerRow) == 1


def test_limited_history_leaves_the_answers_that_sessions_use(database: SqlDatabase) -> None:
    _, answer_id = bought(database)
    with database.transaction() as tx:
        session = tx.sessions.add(CALLER, NewSession(user_id="bob", title="Old"), at=NOW)
        tx.messages.say(session, "What is a cache?", at=NOW)
        turn = Turn(session_id=session.id, position=1, role=Role.ASSISTANT, sent=1, summarised=0)
        assert tx.messages.give("default", turn, answer_id, cached=True, at=NOW) is not None

    gone = prune(database, NOW + 2 * WEEK, history=WEEK)

    assert gone[Kind.ANALYSES] == (1, 0)
    with database.reading() as tx:
        _, reply = tx.messages.thread(session, limit=10)
    assert reply.content == answer().text


def test_a_search_does_not_find_what_was_pruned(database: SqlDatabase) -> None:
    bought(database)
    prune(database, NOW + 2 * WEEK, history=WEEK)
    bought(database, at=NOW + 2 * WEEK)

    with database.reading() as tx:
        found = tx.analyses.newest(CALLER, "alice", HistoryFilter(words=("cache",))).items
    assert [one.created_at for one in found] == [NOW + 2 * WEEK]


def test_an_entry_goes_with_the_last_history_that_used_it(database: SqlDatabase) -> None:
    bought(database)
    with database.transaction() as tx:
        tx.connection.execute(update(FlightRow).values(expires_at=NOW + 10 * WEEK))

    assert prune(database, NOW + 2 * WEEK, history=WEEK)[Kind.ANALYSES] == (1, 1)
    assert recalled(database, NOW + 2 * WEEK) is None
    assert count(database, AnswerRow) == 0


def test_history_stays_while_its_question_is_being_asked_anew(database: SqlDatabase) -> None:
    bought(database)
    late = NOW + 2 * WEEK
    with database.transaction() as tx:
        refresh = claimed(tx, "two", Accepted(now=late))
        attempt_id = opened(tx, refresh, "two", late)

    assert Kind.ANALYSES not in prune(database, late, history=WEEK)

    with database.transaction() as tx:
        answer_id = landed(tx, refresh, answer(), late)
        tx.attempts.settle(attempt_id, Outcome.ANSWERED, at=late, answer_id=answer_id)
        assert tx.analyses.add(BOB, answer_id, cached=False, at=late) is not None
    assert prune(database, late, history=WEEK)[Kind.ANALYSES] == (1, 1)
    assert recalled(database, late) is not None


def test_a_key_whose_analysis_was_pruned_says_so(database: SqlDatabase) -> None:
    key = IdempotencyKey.of("key", tenant="default", key_id=None, path="/", body={})
    late = NOW + 2 * WEEK
    _, answer_id = bought(database)
    with database.transaction() as tx:
        tx.idempotency_keys.begin(key, ALICE, at=late)
        analysis = tx.analyses.given(ALICE, answer_id)
        assert analysis is not None
        tx.idempotency_keys.settle(key, analysis)

    prune(database, late, history=WEEK)

    with database.transaction() as tx:
        assert tx.idempotency_keys.begin(key, ALICE, at=late) is Repeat.DELETED


def test_calls_that_are_not_settled_outlive_every_limit(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        opened(tx, claimed(tx, "one"), "one")

    assert prune(database, NOW + 1000 * WEEK, history=WEEK) == {}
    assert count(database, AttemptRow) == 1


def test_a_rehearsal_counts_and_removes_nothing(database: SqlDatabase) -> None:
    bought(database)

    counted = prune(database, NOW + 2 * WEEK, history=WEEK, is_rehearsal=True)

    assert counted == {Kind.ENTRIES: (1, 0), Kind.ANALYSES: (1, 0), Kind.ATTEMPTS: (1, 0)}
    assert (count(database, FlightRow), count(database, AnalysisRow)) == (1, 1)


def test_more_than_one_look_and_one_batch_are_removed(database: SqlDatabase) -> None:
    keys = [n.to_bytes(32) for n in range(2_100)]
    with database.transaction() as tx:
        _, answer_id = bought_in(tx)
        for key in keys:
            tx.idempotency_keys.begin(IdempotencyKey(scope=key, digest=key), ALICE, at=NOW)
        for _ in range(2_100):
            tx.analyses.add(ALICE, answer_id, cached=True, at=NOW)

    gone = prune(database, NOW + 2 * WEEK, history=WEEK)

    assert gone[Kind.IDEMPOTENCY_KEYS] == (2_100, 0)
    assert gone[Kind.ANALYSES] == (2_101, 1)
    assert (count(database, IdempotencyRow), count(database, AnalysisRow)) == (0, 0)


def bought_in(tx: SqlTransaction) -> tuple[Lease, int]:
    lease = claimed(tx, "one")
    answer_id = landed(tx, lease, answer(), NOW)
    tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)
    return lease, answer_id


def test_a_clock_that_ran_ahead_does_not_keep_all_that_is_older(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        _, answer_id = bought_in(tx)
        tx.connection.execute(update(AnalysisRow).values(created_at=NOW + 100 * WEEK))
        for _ in range(3):
            tx.analyses.add(ALICE, answer_id, cached=True, at=NOW)

    assert prune(database, NOW + 2 * WEEK, history=WEEK)[Kind.ANALYSES] == (3, 0)


def test_rows_that_others_have_locked_are_passed_over(postgres_url: str) -> None:
    database = SqlDatabase(postgres_url)
    bought(database)
    late = NOW + 2 * WEEK
    with database.engine.begin() as other:
        for table in (FlightRow, AnswerRow, AttemptRow):
            other.execute(select(table).with_for_update())

        assert prune(database, late, history=WEEK) == {}

    assert set(prune(database, late, history=WEEK)) == {Kind.ENTRIES, Kind.ANALYSES, Kind.ATTEMPTS}
    database.close()
