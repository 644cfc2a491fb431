"""Removes what limits and budgets do not need any more, as `pruning.py` does with the rest."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Integer,
    and_,
    bindparam,
    delete,
    literal,
    select,
    tuple_,
)

from askonce.core.retention import Gone, Look, Old
from askonce.db.columns import Microseconds, UtcDateTime
from askonce.db.money_rows import RateLimitRow, ReservationRow
from askonce.db.pruning import SqlOldRows

_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_LIMIT = bindparam("limit", type_=Integer)

_COUNTED = (RateLimitRow.tenant, RateLimitRow.kind, RateLimitRow.name, RateLimitRow.period)
_IS_WHOLE = RateLimitRow.whole_at <= bindparam("before", type_=Microseconds)
_LOOK_AT_LIMITS = select(*_COUNTED, _IS_WHOLE.label("is_old")).order_by(*_COUNTED).limit(_LIMIT)
_LAST: tuple[BindParameter[Any], ...] = tuple(
    bindparam(f"last_{column.key}") for column in _COUNTED
)
_LOOK_ON_AT_LIMITS = _LOOK_AT_LIMITS.where(tuple_(*_COUNTED) > tuple_(*_LAST))
_LOCK_LIMITS = (
    select(*_COUNTED)
    .where(tuple_(*_COUNTED).in_(_KEYS), _IS_WHOLE)
    .with_for_update(skip_locked=True)
)
_REMOVE_LIMITS = delete(RateLimitRow).where(tuple_(*_COUNTED).in_(_KEYS))

_IS_OLD_CHARGE = and_(
    ReservationRow.is_charged,
    ReservationRow.starts_at < bindparam("before", type_=UtcDateTime),
)


class SqlOldRateLimits:
    """Those who have not asked for so long that a new row would say the same of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look(self, last: Any, *, before: datetime, limit: int) -> Look:
        """Return which of the next `limit` rows are old; takes no lock."""
        statement = _LOOK_AT_LIMITS if last is None else _LOOK_ON_AT_LIMITS
        facts = {"before": before, "limit": limit, **(last or {})}
        rows = self._connection.execute(statement, facts).all()
        old = [Old(tuple(row[:-1])) for row in rows if row.is_old]
        if len(rows) < limit:
            return Look(old, None)
        return Look(old, {p.key: part for p, part in zip(_LAST, rows[-1], strict=False)})

    def remove(self, keys: Sequence[Any], *, before: datetime) -> Gone:
        """Remove those of these rows that still are old; what others have locked stays."""
        locked = self._connection.execute(_LOCK_LIMITS, {"keys": keys, "before": before}).all()
        if not locked:
            return Gone()
        facts = {"keys": [tuple(row) for row in locked]}
        return Gone(self._connection.execute(_REMOVE_LIMITS, facts).rowcount)


class SqlOldReservations(SqlOldRows):
    """What was charged long ago for calls whose cost has not become known since."""

    look_at = (
        select(
            ReservationRow.attempt_id.label("key"),
            _IS_OLD_CHARGE.label("is_old"),
            literal(0).label("size"),
        )
        .order_by(ReservationRow.attempt_id, ReservationRow.budget_id)
        .limit(_LIMIT)
    )
    look_on = look_at.where(ReservationRow.attempt_id > bindparam("last"))
    lock = (
        select(ReservationRow.attempt_id)
        .where(ReservationRow.attempt_id.in_(_KEYS), _IS_OLD_CHARGE)
        .with_for_update(skip_locked=True)
    )
    delete = delete(ReservationRow).where(ReservationRow.attempt_id.in_(_KEYS))
