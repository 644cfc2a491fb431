"""The audit trail. A batch of events is written with one statement, as history rows are."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    String,
    bindparam,
    func,
    or_,
    select,
    type_coerce,
)
from sqlalchemy.types import TypeEngine

from askonce.core.books import Booked, EventFilter, EventPage
from askonce.core.events import Action, Event
from askonce.core.ranges import Range
from askonce.core.seals import Coverage, Facts, microseconds
from askonce.db.book_rows import EventRow
from askonce.db.columns import picodollars, stored
from askonce.db.many import ManyRows

# In the order in which they are written, and hashed behind the id; with PostgreSQL's types.
_TYPES = {
    "at": "timestamptz",
    "tenant": "varchar",
    "action": "varchar",
    "outcome": "varchar",
    "user_id": "varchar",
    "key_id": "bigint",
    "request_id": "varchar",
    "provider": "varchar",
    "model": "varchar",
    "tokens_in": "bigint",
    "tokens_out": "bigint",
    "cost": "bigint",
    "digest": "varchar",
    "about": "text",
}
_ADD = ManyRows("audit_events", _TYPES)

# A page looks at so many events at most: whoever looks for rare ones goes on behind its end.
_LOOKED_AT = 50_000
# Events stand in the order of their times, but for what clocks differ and transactions take.
_SLACK = timedelta(hours=1)
_PAGE = 500

_COLUMNS = tuple(EventRow.__table__.c[name] for name in ("id", *_TYPES))
# As they are stored: what somebody put in who should not have, may be none of our types.
_RAW: dict[str, TypeEngine[Any]] = {"at": String(), "cost": BigInteger()}
_HASHED = tuple(
    type_coerce(column, _RAW[column.name]).label(column.name) if column.name in _RAW else column
    for column in _COLUMNS
)
_IN_RANGE = (
    select(*_HASHED)
    .where(EventRow.id >= bindparam("first"), EventRow.id <= bindparam("last"))
    .order_by(EventRow.id)
    .limit(bindparam("most"))
)
# Each on its own: asked for both at once, SQLite looks through the whole table.
_ENDS = select(
    select(func.min(EventRow.id)).scalar_subquery().label("first"),
    select(func.max(EventRow.id)).scalar_subquery().label("last"),
)
_NEXT = (
    select(EventRow.id, EventRow.at)
    .where(EventRow.id >= bindparam("first"))
    .order_by(EventRow.id)
    .limit(1)
)
_BEYOND = 2**63 - 1


class SqlTrail:
    """The audit trail of all tenants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, events: Sequence[Event]) -> None:
        """Write events down."""
        # A batch has few moments.
        moments = {at: stored(self._connection, at) for at in {event.at for event in events}}
        _ADD.write(self._connection, [_written(event, moments[event.at]) for event in events])

    def newest(self, wanted: EventFilter) -> EventPage:
        """Return up to `wanted.limit` events, the largest id first."""
        lowest, before = self._bounds(wanted)
        floor = max(before - _LOOKED_AT, lowest)
        found = self._connection.execute(
            select(*_COLUMNS)
            .where(EventRow.id >= floor, EventRow.id < before, *_conditions(wanted))
            .order_by(EventRow.id.desc())
            .limit(wanted.limit + 1)
        ).all()
        items = [Booked(row.id, _event(row)) for row in found[: wanted.limit]]
        if len(found) > wanted.limit:
            return EventPage(items=items, before_id=items[-1].id)
        return EventPage(items=items, before_id=floor if floor > lowest else None)

    def unsettled(self, coverage: Coverage, *, limit: int) -> Sequence[tuple[int, Facts]]:
        """Return the next events that no seal covers, by ascending id, as they are hashed."""
        found: list[tuple[int, Facts]] = []
        for first, last in (
            *(hole.ids for hole in coverage.holes),
            (coverage.highest + 1, _BEYOND),
        ):
            if len(found) == limit:
                break
            found += self._read(first, last, limit - len(found))
        return found

    def within(self, ids: Range) -> Iterator[tuple[int, Facts]]:
        """Return the events of these ids, by ascending id."""
        first, last = ids
        while first <= last:
            page = self._read(first, last, _PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            first = page[-1][0] + 1

    def count_unsettled(self, coverage: Coverage) -> int:
        """Return how many events no seal covers yet."""
        places = [EventRow.id > coverage.highest]
        places += [EventRow.id.between(*hole.ids) for hole in coverage.holes]
        statement = select(func.count()).select_from(EventRow)
        return self._connection.execute(statement.where(or_(*places))).scalar_one()

    def _bounds(self, wanted: EventFilter) -> tuple[int, int]:
        """Return between which ids the wanted times lie, the second one excluded."""
        ends = self._connection.execute(_ENDS).one()
        lowest, before = ends.first or 1, (ends.last or 0) + 1
        if wanted.before_id is not None:
            before = min(before, wanted.before_id)
        if wanted.until is not None:
            before = self._first_since(wanted.until + _SLACK, lowest, before)
        if wanted.since is not None:
            lowest = self._first_since(wanted.since - _SLACK, lowest, before)
        return lowest, before

    def _first_since(self, moment: datetime, lowest: int, before: int) -> int:
        """Return the id, from `lowest` to `before`, at which the events since then begin."""
        while lowest < before:
            middle = (lowest + before) // 2
            row = self._connection.execute(_NEXT, {"first": middle}).one_or_none()
            if row is None or row.id >= before or row.at >= moment:
                before = middle
            else:
                lowest = row.id + 1
        return lowest

    def _read(self, first: int, last: int, most: int) -> list[tuple[int, Facts]]:
        facts = {"first": first, "last": last, "most": most}
        rows = self._connection.execute(_IN_RANGE, facts)
        return [(row[0], (row[0], _moment(row[1]), *row[2:])) for row in rows]


def _conditions(wanted: EventFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.tenant is not None:
        conditions.append(EventRow.tenant == wanted.tenant)
    if wanted.user_id is not None:
        conditions.append(EventRow.user_id == wanted.user_id)
    if wanted.action is not None:
        conditions.append(EventRow.action == wanted.action)
    if wanted.since is not None:
        conditions.append(EventRow.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(EventRow.at < wanted.until)
    return conditions


def _moment(stored: datetime | str) -> int | str:
    """Return a time as it is hashed: microseconds since 1970."""
    if isinstance(stored, datetime):
        return microseconds(stored)
    try:
        # SQLite forgets time zones.
        return microseconds(datetime.fromisoformat(stored).replace(tzinfo=UTC))
    except (ValueError, TypeError):
        return f"not a time: {stored!r}"


def _written(event: Event, at: str) -> tuple[object, ...]:
    return (
        at,
        event.tenant,
        event.action.value,
        event.outcome,
        event.user_id,
        event.key_id,
        event.request_id or None,
        event.provider,
        event.model,
        event.tokens_in,
        event.tokens_out,
        None if event.cost is None else picodollars(event.cost),
        event.digest,
        _object(event.about) if event.about else None,
    )


def _object(facts: Mapping[str, int | str]) -> str:
    """Return facts as a JSON object; the encoder of the library takes three times as long."""
    parts = [
        f'"{name}":{fact if type(fact) is int else json.dumps(fact)}'
        for name, fact in sorted(facts.items())
    ]
    return "{" + ",".join(parts) + "}"


def _event(row: Row[*tuple[object, ...]]) -> Event:
    return Event(
        at=row.at,
        tenant=row.tenant,
        action=Action(row.action),
        outcome=row.outcome,
        user_id=row.user_id,
        key_id=row.key_id,
        request_id=row.request_id or "",
        provider=row.provider,
        model=row.model,
        tokens_in=row.tokens_in,
        tokens_out=row.tokens_out,
        cost=row.cost,
        digest=row.digest,
        about={} if row.about is None else json.loads(row.about),
    )
