"""Numbers that were given to rows once, and are never given again."""

from sqlalchemy import Connection, Table, func, select, text

_SQLITE_HIGHEST = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
_SQLITE_RAISE = text("UPDATE sqlite_sequence SET seq = :highest WHERE name = :name")
_SQLITE_BEGIN = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :highest)")
_SEQUENCE = text("SELECT pg_get_serial_sequence(:name, :column)")
_POSTGRESQL_HIGHEST = text("SELECT pg_sequence_last_value(CAST(:sequence AS regclass))")
_POSTGRESQL_RAISE = text("SELECT setval(:sequence, :highest)")


def highest_given(connection: Connection, table: Table) -> int:
    """Return the highest id that a table has given to a row, also to one that is gone; else 0."""
    column = table.autoincrement_column
    if column is None:
        return 0
    highest = connection.execute(select(func.max(column))).scalar_one() or 0
    if connection.dialect.name == "sqlite":
        given = connection.execute(_SQLITE_HIGHEST, {"name": table.name}).scalar_one_or_none()
        return max(highest, given or 0)
    sequence = _sequence(connection, table)
    if sequence is None:
        return int(highest)
    given = connection.execute(_POSTGRESQL_HIGHEST, {"sequence": sequence}).scalar_one_or_none()
    return max(highest, given or 0)


def never_give_again(connection: Connection, table: Table, highest: int) -> None:
    """Let new rows of a table begin above `highest`."""
    if not highest:
        return
    if connection.dialect.name == "postgresql":
        sequence = _sequence(connection, table)
        if sequence is not None:
            connection.execute(_POSTGRESQL_RAISE, {"sequence": sequence, "highest": highest})
    elif table.dialect_options["sqlite"]["autoincrement"]:
        facts = {"name": table.name, "highest": highest}
        if not connection.execute(_SQLITE_RAISE, facts).rowcount:
            connection.execute(_SQLITE_BEGIN, facts)


def _sequence(connection: Connection, table: Table) -> str | None:
    """Return the quoted name of what numbers a table on PostgreSQL."""
    column = table.autoincrement_column
    if column is None:
        return None
    facts = {"name": table.name, "column": column.name}
    found: str | None = connection.execute(_SEQUENCE, facts).scalar_one()
    return found
