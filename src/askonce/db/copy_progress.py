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

from askonce.db.checksums import Checksum

Key: TypeAlias = tuple[Any, ...]

_TABLE = Table(
    "askonce_copying",
    MetaData(),
    # Empty for the copy as a whole, whose `last` is the name of its source; with a plus sign for
    # the rows of a table that were there before it, whose `last` is the total of their checksum.
    Column("name", String(65), primary_key=True),
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


def except_for(connection: Connection, table: Table, own: Checksum) -> None:
    """Note that a table has rows of its own, which are no part of the copy."""
    connection.execute(
        insert(_TABLE).values(name=f"+{table.name}", last=str(own.total), rows=own.rows)
    )


def own_rows(connection: Connection, table: Table) -> Checksum:
    """Return the checksum of the rows that are no part of the copy."""
    statement = select(_TABLE).where(_TABLE.c.name == f"+{table.name}")
    found = connection.execute(statement).one_or_none()
    return Checksum() if found is None else Checksum(found.rows, int(found.last))


def reached(connection: Connection, table: Table) -> Reached:
    """Return how far a table has come."""
    found = connection.execute(select(_TABLE).where(_TABLE.c.name == table.name)).one_or_none()
    if found is None:
        return Reached()
    return Reached(last=tuple(_read(part) for part in json.loads(found.last)), rows=found.rows)


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
    """Return what JSON can hold: a value that it knows, or one that says what it is."""
    match part:
        case bytes():
            return {"bytes": part.hex()}
        case datetime():
            return {"datetime": part.isoformat()}
        case date():
            return {"date": part.isoformat()}
    return part


def _read(part: Any) -> Any:
    match part:
        case {"bytes": written}:
            return bytes.fromhex(written)
        case {"datetime": written}:
            return datetime.fromisoformat(written)
        case {"date": written}:
            return date.fromisoformat(written)
    return part
