"""The audit trail on both databases: written with what it tells of, sealed, verified."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError

from askonce.core import ranges
from askonce.core.books import EventFilter
from askonce.core.errors import DatabaseUnavailableError
from askonce.core.events import Action
from askonce.core.seals import PATIENCE, canonical, leaf_of, sealed
from askonce.db import events as trail_module
from askonce.db.book_rows import EventRow, SealRow
from askonce.db.database import SqlDatabase
from askonce.db.events import SqlTrail
from askonce.db.seals import SqlSeals
from askonce.services.verifying import Finding, Wrong, head_of
from tests.contracts.trails import Trail, an_event, book
from tests.examples import DAY, NOW


@pytest.fixture
def trail(database: SqlDatabase) -> Iterator[Trail]:
    trail = Trail(database)
    yield trail
    trail.close()


@pytest.fixture
def long_trail(trail: Trail) -> Trail:
    """Return one of three seals over four events each, and two events without a seal."""
    for _ in range(3):
        trail.book(4)
        trail.seal()
        trail.clock.advance(1)
    trail.book(2)
    return trail


def test_events_come_back_as_they_were_written(database: SqlDatabase) -> None:
    full = an_event(
        at=NOW + timedelta(microseconds=1), cost=Decimal("0.000000000001"), about={"reason": 'a"é'}
    )
    bare = an_event(
        at=NOW, user_id=None, key_id=None, request_id="", provider=None, model=None,
        tokens_in=None, tokens_out=None, digest=None, about={},
    )  # fmt: skip
    book(database, full, bare)

    with database.reading() as tx:
        items = tx.trail.newest(EventFilter(tenant="default")).items

    assert [one.event for one in items] == [bare, full]


def test_an_event_has_the_same_bytes_on_both_databases(database: SqlDatabase) -> None:
    book(database, an_event(cost=Decimal("0.000213"), at=NOW + timedelta(microseconds=7)))

    with database.reading() as tx:
        ((_, facts),) = tx.trail.within((1, 1))

    assert canonical(facts).decode() == (
        '[1,1795255200000007,"default","analyze","hit","alice",3,"r-1","claude","claude-haiku-5-5"'
        f',120,23,213000000,"{"ab" * 32}","{{\\"analysis\\":41,\\"answer\\":7}}"]'
    )


def test_nothing_is_written_where_the_books_cannot_be(database: SqlDatabase) -> None:
    def work() -> None:
        with database.transaction() as tx:
            tx.preferences.remove("default", "alice")
            tx.book(an_event())
            tx.book(an_event(tenant=None, action=Action.HISTORY_READ))

    with pytest.raises(DBAPIError):
        work()

    with database.reading() as tx:
        assert tx.trail.newest(EventFilter()).items == []
        assert tx.preferences.news(None).version == 0


@pytest.mark.parametrize("table", ["audit_events", "audit_seals"])
@pytest.mark.parametrize("change", ["UPDATE {} SET at = at", "DELETE FROM {}"])
def test_the_trail_is_append_only(trail: Trail, table: str, change: str) -> None:
    trail.book(1)
    trail.seal()

    with pytest.raises((DBAPIError, DatabaseUnavailableError)), trail.database.transaction() as tx:
        tx.connection.execute(text(change.format(table)))

    assert trail.verify().is_good


def test_lists_what_was_asked_for_newest_first(database: SqlDatabase) -> None:
    book(
        database,
        an_event(),
        an_event(user_id="bob", action=Action.HISTORY_READ, at=NOW + DAY),
        an_event(tenant="other", at=NOW + DAY),
        an_event(user_id="bob", at=NOW + 2 * DAY),
    )

    def ids(**wanted: object) -> list[int]:
        with database.reading() as tx:
            page = tx.trail.newest(EventFilter(**{"tenant": "default"} | wanted))  # type: ignore[arg-type]
        return [one.id for one in page.items]

    assert ids() == [4, 2, 1]
    assert ids(tenant=None) == [4, 3, 2, 1]
    assert ids(user_id="bob") == [4, 2]
    assert ids(action="history.read") == [2]
    assert ids(since=NOW + DAY) == [4, 2]
    assert ids(until=NOW + DAY) == [1]
    assert ids(user_id="bob", since=NOW + DAY, until=NOW + 2 * DAY) == [2]
    assert ids(user_id="nobody") == []


def test_pages_end_and_miss_nothing(database: SqlDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_module, "_LOOKED_AT", 7)
    rare = {3, 11, 12, 19}
    book(
        database,
        *(
            an_event(action=Action.PREFERENCES_PUT if number in rare else Action.ANALYZE)
            for number in range(1, 21)
        ),
    )

    found: list[int] = []
    before_id, pages = None, 0
    while pages == 0 or before_id is not None:
        wanted = EventFilter(
            tenant="default",
            user_id="alice",
            action="preferences.put",
            before_id=before_id,
            limit=1,
        )
        with database.reading() as tx:
            page = tx.trail.newest(wanted)
        found += [one.id for one in page.items]
        before_id, pages = page.before_id, pages + 1

    assert found == [19, 12, 11, 3]
    assert pages < 12


def test_a_trail_that_nobody_touched_is_good(long_trail: Trail) -> None:
    verdict = long_trail.verify()

    assert verdict.is_good
    assert (verdict.seals, verdict.events, verdict.unsealed) == (3, 12, 2)


def test_an_empty_trail_is_good(trail: Trail) -> None:
    assert trail.verify().is_good


CHANGES = {
    "at": "at = '2020-01-01 00:00:00'",
    "tenant": "tenant = 'other'",
    "action": "action = 'call'",
    "outcome": "outcome = 'miss'",
    "user_id": "user_id = 'mallory'",
    "key_id": "key_id = NULL",
    "request_id": "request_id = 'r-9'",
    "provider": "provider = NULL",
    "model": "model = ''",
    "tokens_in": "tokens_in = 0",
    "tokens_out": "tokens_out = 24",
    "cost": "cost = 0",
    "digest": "digest = NULL",
    "about": "about = '{}'",
}


CHANGE = "UPDATE audit_events SET {} WHERE id = 6"


def test_every_column_that_was_changed_is_found(long_trail: Trail) -> None:
    with long_trail.database.reading() as tx:
        row = tx.connection.execute(select(EventRow.__table__).where(EventRow.id == 6)).one()

    assert {column.name for column in EventRow.__table__.columns} == {"id", *CHANGES}
    for column, change in CHANGES.items():
        long_trail.run(CHANGE.format(change))
        assert long_trail.found() == Finding(wrong=Wrong.CHANGED, seal=2, event=6), column
        with long_trail.attacked() as connection:
            back = {column: getattr(row, column)}
            connection.execute(update(EventRow).where(EventRow.id == 6).values(back))
        assert long_trail.verify().is_good, column


MOVE = "UPDATE audit_events SET id = {} WHERE id = {}"


@pytest.mark.parametrize(
    ("statements", "wrong", "event", "seal"),
    [
        (["DELETE FROM audit_events WHERE id = 6"], Wrong.REMOVED, 6, 2),
        (["DELETE FROM audit_events WHERE id <= 4"], Wrong.REMOVED, 1, 1),
        (["DELETE FROM audit_events"], Wrong.REMOVED, 1, 1),
        (
            [MOVE.format(99, 6), MOVE.format(6, 7), MOVE.format(7, 99)],
            Wrong.MOVED,
            6,
            2,
        ),
        ([MOVE.format(0, 6)], Wrong.ADDED, 0, 1),
        ([MOVE.format(-5, 6)], Wrong.ADDED, -5, 1),
        (["DELETE FROM audit_seals WHERE number = 2"], Wrong.SEAL_REMOVED, None, 2),
        (["DELETE FROM audit_seals WHERE number = 1"], Wrong.SEAL_REMOVED, None, 1),
        (["UPDATE audit_seals SET at = '2020-01-01 00:00:00' WHERE number = 2"],
         Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET ids = '5-7' WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET ids = 'x' WHERE number = 2"], Wrong.SEAL_CHANGED, None, 2),
        (["UPDATE audit_seals SET total = 9 WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET highest = 9 WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET holes = '3@0' WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET root = hash WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET hash = root WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET previous = root WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
        (["UPDATE audit_seals SET leaves = root WHERE number = 2"], Wrong.SEAL_CHANGED, 5, 2),
    ],
)  # fmt: skip
def test_what_somebody_did_to_the_tables_is_named(
    long_trail: Trail, statements: list[str], wrong: Wrong, event: int | None, seal: int
) -> None:
    long_trail.run(*statements)

    found = long_trail.found()

    assert (found.wrong, found.event, found.seal) == (wrong, event, seal)


def test_an_event_that_was_put_in_later_is_found(trail: Trail) -> None:
    trail.book(2)
    trail.run("UPDATE audit_events SET id = 5 WHERE id = 2")
    trail.seal()
    trail.clock.advance(PATIENCE.total_seconds())
    trail.run(
        "INSERT INTO audit_events (id, at, tenant, action, outcome) VALUES"
        " (9, '2026-11-21 10:00:00', 'default', 'analyze', 'hit')"
    )
    trail.seal()
    assert trail.verify().is_good

    trail.run(
        "INSERT INTO audit_events (id, at, tenant, action, outcome) VALUES"
        " (3, '2026-11-21 10:00:00', 'default', 'analyze', 'hit')"
    )

    found = trail.found()
    assert (found.wrong, found.event) == (Wrong.ADDED, 3)


def reseal(trail: Trail, number: int) -> None:
    """Seal all that one seal and those after it cover anew, so that they fit what is there now."""
    with trail.attacked() as connection:
        seals, events = SqlSeals(connection), SqlTrail(connection)
        last = seals.after(number - 2)
        covered = connection.execute(
            select(SealRow.ids, SealRow.at).where(SealRow.number >= number).order_by(SealRow.number)
        ).all()
        connection.execute(delete(SealRow).where(SealRow.number >= number))
        for ids, at in covered:
            rows = events.within(ranges.read(ids)[0])
            last = sealed(last, [(id_, leaf_of(facts)) for id_, facts in rows], at)
            seals.add(last)


def test_only_a_head_that_was_kept_elsewhere_tells_of_a_trail_that_was_written_anew(
    long_trail: Trail,
) -> None:
    with long_trail.database.reading() as tx:
        seals = [tx.seals.after(number) for number in range(3)]
    first, second, third = (head_of(seal) for seal in seals if seal is not None)
    long_trail.run("UPDATE audit_events SET outcome = 'miss' WHERE id = 6")
    reseal(long_trail, 2)

    assert long_trail.verify().is_good
    assert long_trail.verify(first).is_good
    for kept in (second, third, third.partition(":")[2]):
        found = long_trail.found(first, kept)
        assert (found.wrong, found.sealed_up_to) == (Wrong.HEAD_UNKNOWN, 4)


def test_only_a_head_that_was_kept_elsewhere_tells_of_a_trail_that_was_cut_off(
    long_trail: Trail,
) -> None:
    head = long_trail.verify().head
    assert head is not None
    assert long_trail.verify(head).is_good

    long_trail.run(
        "DELETE FROM audit_seals WHERE number = 3", "DELETE FROM audit_events WHERE id > 8"
    )

    assert long_trail.verify().is_good
    found = long_trail.found(head)
    assert (found.wrong, found.seal) == (Wrong.HEAD_UNKNOWN, 3)


def test_what_is_committed_late_is_sealed_later(trail: Trail) -> None:
    trail.book(3)
    trail.run("UPDATE audit_events SET id = 9 WHERE id = 3")
    trail.seal()
    trail.run(
        "INSERT INTO audit_events (id, at, tenant, action, outcome) VALUES"
        " (5, '2026-11-21 10:00:00', 'default', 'analyze', 'hit')"
    )

    assert trail.verify().unsealed == 1
    late = trail.seal()

    assert (late.ids, late.highest, late.total) == ([(5, 5)], 9, 4)
    assert [hole.ids for hole in late.holes] == [(3, 4), (6, 8)]
    assert trail.verify().is_good


def test_who_is_second_seals_nothing(trail: Trail) -> None:
    trail.book(1)
    first = trail.seal()

    with trail.database.transaction() as tx:
        assert not tx.seals.add(first)
    assert trail.verify().seals == 1
