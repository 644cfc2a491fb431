"""Moves everything to another database, row by row, and proves that it has arrived.

What is needed to go on after a crash stands in the target itself, in the transaction of the rows
that it tells of. Until all is through no askonce starts on the target: in the place of its revision
stands that it is being copied.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    delete,
    func,
    insert,
    inspect,
    literal,
    select,
    text,
    tuple_,
)

from askonce.db import copy_progress, migrating
from askonce.db.checksums import checksum
from askonce.db.database import SqlDatabase, translated
from askonce.db.liveness import is_anybody_alive
from askonce.db.places import liveness_folder
from askonce.db.rows import Row
from askonce.db.schema import BEING_COPIED, newest, schema_of
from askonce.db.sequences import highest_given, never_give_again

if TYPE_CHECKING:
    from alembic.config import Config

# So many rows are read, and committed, at a time: each may hold two texts of 200 000 characters.
BATCH = 500


class CopyError(Exception):
    """There is no copy. The message is one line and says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """How far one table has come."""

    table: str
    rows: int
    of: int
    is_verified: bool = False


def copy(source: SqlDatabase, target: SqlDatabase, *, spool: Path) -> Generator[Copied, None, None]:
    """Copy all tables, telling after each batch; begun again after a crash, it goes on.

    Ids stay as they are. Words for full-text search are made anew by the target's own triggers.
    `spool` is the source's folder of paid answers that wait for their commit; it has to be empty.

    Raises:
        CopyError: one of the two is in use, the target holds something else, or what has arrived
            is not what was there.
        ConfigurationError: the source is not of this version.
        DatabaseUnavailableError: one of the two does not answer.
    """
    schema_of(source).require_current()
    if source.name == target.name:
        raise CopyError("both are the same database")
    for database in (source, target):
        if is_in_use(database):
            raise CopyError(f"askonce runs on {database.name}: stop it first")
    if any(spool.glob("*.json")):
        raise CopyError(f"paid answers wait in {spool}: start askonce once, so that they are kept")
    _begin(source, target)
    with _still(source) as there:
        for table in Row.metadata.sorted_tables:
            yield from _copy_table(there, target, table)
        for table in Row.metadata.sorted_tables:
            yield _verified(there, target, table)
        _finish(there, target)


def is_in_use(database: SqlDatabase) -> bool:
    """Return whether an askonce runs on a database: for SQLite as far as this machine knows."""
    if database.is_sqlite:
        return is_anybody_alive(liveness_folder(database))
    others = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'askonce' AND pid <> pg_backend_pid()"
    )
    with translated(), database.engine.connect() as connection:
        return bool(connection.execute(others).scalar_one())


def _begin(source: SqlDatabase, target: SqlDatabase) -> None:
    """Make the target's tables, empty, or find those that were made for this copy."""
    if schema_of(target).at == BEING_COPIED:
        with target.reading() as tx:
            begun_from = copy_progress.source_of(tx.connection)
        if begun_from != source.name:
            raise CopyError(f"{target.name} holds the beginning of a copy of {begun_from}")
        return
    with translated(), target.engine.connect() as connection:
        if inspect(connection).get_table_names():
            raise CopyError(f"{target.name} is not empty")

    def step(config: "Config") -> None:
        command.upgrade(config, newest())
        connection: Connection = config.attributes["connection"]
        copy_progress.begin(connection, source.name)
        with source.reading() as there:
            for table in Row.metadata.sorted_tables:
                _make_way(there.connection, connection, table)
        _stamp(connection, BEING_COPIED)

    migrating.run(target, step)


def _make_way(there: Connection, here: Connection, table: Table) -> None:
    """Remove what the migrations have put into a new table and the source has too."""
    for key in here.execute(select(*table.primary_key.columns)).all():
        this = tuple_(*table.primary_key.columns) == tuple_(*_bound(table, tuple(key)))
        if there.execute(select(literal(1)).select_from(table).where(this)).first():
            here.execute(delete(table).where(this))
    own = checksum(here, table)
    if own.rows:
        copy_progress.except_for(here, table, own)


@contextmanager
def _still(source: SqlDatabase) -> Iterator[Connection]:
    """Give one unchanging view of the source, and let nobody of ours write to it meanwhile."""
    with translated(), source.writing(), source.engine.connect() as connection:
        if source.is_sqlite:
            there = connection.execution_options(sqlite_begin="BEGIN")
        else:
            there = connection.execution_options(isolation_level="REPEATABLE READ")
        with there.begin():
            _take_time(there)
            yield there


def _copy_table(there: Connection, target: SqlDatabase, table: Table) -> Iterator[Copied]:
    key = tuple(table.primary_key.columns)
    of = there.execute(select(func.count()).select_from(table)).scalar_one()
    with target.reading() as tx:
        reached = copy_progress.reached(tx.connection, table)
    while True:
        statement = select(table).order_by(*key).limit(BATCH)
        if reached.last is not None:
            statement = statement.where(tuple_(*key) > tuple_(*_bound(table, reached.last)))
        rows = [dict(row) for row in there.execute(statement).mappings()]
        if not rows:
            break
        reached = copy_progress.Reached(
            last=tuple(rows[-1][column.name] for column in key), rows=reached.rows + len(rows)
        )
        with target.transaction() as tx:
            _take_time(tx.connection)
            tx.connection.execute(insert(table), rows)
            copy_progress.keep(tx.connection, table, reached)
        yield Copied(table=table.name, rows=reached.rows, of=of)


def _verified(there: Connection, target: SqlDatabase, table: Table) -> Copied:
    with target.reading() as tx:
        _take_time(tx.connection)
        own = copy_progress.own_rows(tx.connection, table)
        arrived = checksum(tx.connection, table).without(own)
    expected = checksum(there, table)
    if arrived != expected:
        raise CopyError(
            f"{table.name} has arrived with {arrived.rows} rows of {expected.rows}, or not as it "
            "was: the source has changed since the copy was begun. Empty the target, begin anew"
        )
    return Copied(table=table.name, rows=arrived.rows, of=expected.rows, is_verified=True)


def _finish(there: Connection, target: SqlDatabase) -> None:
    with target.transaction() as tx:
        _take_time(tx.connection)
        for table in Row.metadata.sorted_tables:
            never_give_again(tx.connection, table, highest_given(there, table))
        copy_progress.end(tx.connection)
        _stamp(tx.connection, newest())
        # Statistics, without which the first queries would be planned for empty tables.
        tx.connection.exec_driver_sql("ANALYZE")


def _stamp(connection: Connection, revision: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :at"), {"at": revision})


def _take_time(connection: Connection) -> None:
    """Lift the limits that keep requests short, for this transaction."""
    if connection.dialect.name == "postgresql":
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {limit} = 0")


def _bound(table: Table, last: copy_progress.Key) -> list[ColumnElement[Any]]:
    columns = table.primary_key.columns
    return [literal(value, column.type) for value, column in zip(last, columns, strict=True)]
