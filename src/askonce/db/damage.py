"""Reads an SQLite file from end to end, to see whether it is whole."""

from sqlalchemy import text

from askonce.db.database import SqlDatabase


def damage(database: SqlDatabase) -> str | None:
    """Return the first thing that is wrong with the file; None where all is well.

    PostgreSQL has tools of its own for this (`pg_amcheck`): of it nothing is said.
    """
    if not database.is_sqlite:
        return None
    with database.reading() as tx:
        said = str(tx.connection.execute(text("PRAGMA integrity_check(1)")).scalar_one())
        if said != "ok":
            return said
        orphan = tx.connection.execute(text("PRAGMA foreign_key_check")).first()
        return None if orphan is None else f"a row of {orphan[0]} points at nothing"
