"""What was spent and saved each day. A batch is added up first, and written with one statement."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, func, select, type_coerce

from askonce.core.events import Event
from askonce.core.usage import (
    COUNTED,
    Account,
    GroupBy,
    Totals,
    UsageFilter,
    UsageGroup,
    added_up,
)
from askonce.db.book_rows import UsageRow
from askonce.db.columns import dollars, picodollars
from askonce.db.many import ManyRows

# Processes draw one by the number of their connection.
SLOTS = 16

_MONEY = ("cost", "saved_cost")
_TYPES = {
    "tenant": "varchar",
    "user_id": "varchar",
    "day": "date",
    "key_id": "bigint",
    "provider": "varchar",
    "model": "varchar",
    **dict.fromkeys(COUNTED, "bigint"),
}
_ADD = ManyRows(
    "usage_daily",
    _TYPES,
    fixed={"slot": {"sqlite": "0", "postgresql": f"pg_backend_pid() % {SLOTS}"}},
    ending="ON CONFLICT (tenant, user_id, day, key_id, provider, model, slot) DO UPDATE SET "
    + ", ".join(f"{name} = usage_daily.{name} + excluded.{name}" for name in COUNTED),
)
_GROUPS = {
    GroupBy.DAY: UsageRow.day,
    GroupBy.PROVIDER: UsageRow.provider,
    GroupBy.MODEL: UsageRow.model,
}


class SqlUsage:
    """The usage of all users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, events: Iterable[Event]) -> None:
        """Add what events took and saved."""
        accounts = added_up(events)
        if not accounts:
            return
        # Sorted, so that two replicas lock rows in the same order.
        rows = [_written(account, accounts[account]) for account in sorted(accounts)]
        _ADD.write(self._connection, rows)

    def summed(self, wanted: UsageFilter) -> Sequence[UsageGroup]:
        """Return exact sums by group, in the order of their names."""
        group = _GROUPS[wanted.group_by]
        rows = self._connection.execute(
            select(group.label("name"), *(SUMS[name] for name in COUNTED))
            .where(*_conditions(wanted))
            .group_by(group)
            .order_by(group)
        )
        return [
            UsageGroup(str(row.name), Totals(**{name: total_of(row, name) for name in COUNTED}))
            for row in rows
        ]


def _column(name: str) -> ColumnElement[int]:
    # As whole picodollars: what a database makes of a sum has no type of ours.
    return type_coerce(UsageRow.__table__.c[name], BigInteger)


SUMS = {name: func.sum(_column(name)).label(name) for name in COUNTED}


def _conditions(wanted: UsageFilter) -> list[ColumnElement[bool]]:
    conditions = [UsageRow.tenant == wanted.tenant]
    if wanted.user_id is not None:
        conditions.append(UsageRow.user_id == wanted.user_id)
    if wanted.since is not None:
        conditions.append(UsageRow.day >= wanted.since)
    if wanted.until is not None:
        conditions.append(UsageRow.day < wanted.until)
    return conditions


def total_of(row: object, name: str) -> Any:
    summed = int(getattr(row, name))
    return dollars(summed) if name in _MONEY else summed


def _written(account: Account, totals: Totals) -> tuple[object, ...]:
    return (
        account.tenant,
        account.user_id,
        account.day.isoformat(),
        account.key_id,
        account.provider,
        account.model,
        totals.calls,
        totals.failed,
        totals.unpriced,
        totals.tokens_in,
        totals.tokens_out,
        picodollars(totals.cost),
        totals.hits,
        totals.collapsed,
        totals.replays,
        totals.saved_unpriced,
        totals.saved_tokens_in,
        totals.saved_tokens_out,
        picodollars(totals.saved_cost),
    )
