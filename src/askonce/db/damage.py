"""Reads an SQLite file from end to end, to see whether it is whole."""

import sqlite3
from contextlib import closing

from askonce.core.errors import DatabaseUnavailableError
from askonce.db.database import SqlDatabase


def damage(database: SqlDatabase) -> str | None:
    """Return the first thing that is wrong with the file; None where all is well.

    PostgreSQL has tools of its own for this (`pg_amcheck`): of it nothing is said.

    Raises:
        DatabaseUnavailableError: the file cannot be read now.
    """
    if not database.is_sqlite:
        return None
    try:
        # Not by an engine: it may find the file too damaged for the first words that it says.
        with closing(sqlite3.connect(database.path_beside(""))) as connection:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                return str(said)
            orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
            return None if orphan is None else f"a row of {orphan[0]} points at nothing"
    except sqlite3.OperationalError as error:
        raise DatabaseUnavailableError from error
    except sqlite3.DatabaseError as error:
        return str(error)
