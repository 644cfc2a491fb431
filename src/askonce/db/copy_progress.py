"""Remembers, in the target of a copy, how far it has come.

Its table is there only as long as the copy is not through, and so in no migration.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeAlias

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)

Key: TypeAlias = tuple[Any, ...]

_TABLE = Table(
    "askonce_copying",
    MetaData(),
    # Empty for the copy as a whole, whose `last` is the name of its source.
    Column("name", String(64), primary_key=True),
    Column("last", Text, nullable=False),
    Column("rows", BigInteger, nullable=False),
)
_WHOLE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """The primary key of the last row that has arrived, and how many have."""

    last: Key | None = None
    rows: int = 0


def begin(connection: Connection, source: str) -> None:
    """Note that a copy of `source` begins."""
    _TABLE.create(connection)
    connection.execute(insert(_TABLE).values(name=_WHOLE, last=source, rows=0))


def source_of(connection: Connection) -> str:
    """Return the source of the copy that was begun."""
    found = connection.execute(select(_TABLE.c.last).where(_TABLE.c.name == _WHOLE)).scalar_one()
    return str(found)


def reached(connection: Connection, table: Table) -> Reached:
    """Return how far a table has come."""
    found = connection.execute(select(_TABLE).where(_TABLE.c.name == table.name)).one_or_none()
    if found is None:
        return Reached()
    columns = table.primary_key.columns
    parts = zip(json.loads(found.last), columns, strict=True)
    return Reached(
        last=tuple(_read(part, column.type.python_type) for part, column in parts),
        rows=found.rows,
    )


def keep(connection: Connection, table: Table, now: Reached) -> None:
    """Note how far a table has come, in the transaction that brought it there."""
    facts = {"last": json.dumps([_written(part) for part in now.last or ()]), "rows": now.rows}
    changed = connection.execute(update(_TABLE).where(_TABLE.c.name == table.name).values(facts))
    if not changed.rowcount:
        connection.execute(insert(_TABLE).values(name=table.name, **facts))


def end(connection: Connection) -> None:
    """Forget the copy."""
    _TABLE.drop(connection)


def _written(part: Any) -> Any:
    if isinstance(part, bytes):
        return part.hex()
    return part.isoformat() if isinstance(part, date) else part


def _read(part: Any, kind: type) -> Any:
    if kind is bytes:
        return bytes.fromhex(part)
    if kind in (date, datetime):
        return kind.fromisoformat(part)
    return part
