"""Wipes out of SQLite's files what was deleted from its tables.

`secure_delete` overwrites what is deleted, but three copies stay for a while. The log beside the
file (`-wal`) keeps earlier versions of pages until it is emptied. The full-text index only notes
that an answer's words are gone, and drops them when the parts of the index are merged; an option
that changes this came with SQLite 3.42, and older versions cannot read the file then. Triggers
count deletions in `revisions`, so that no process has to remember what is still to be done.
"""

from sqlalchemy import Connection, text

from askonce.db.database import SqlDatabase, translated

# A step of this many pages takes 5 ms or so, in which nobody else writes.
_STEP_PAGES = 16
_MERGE = "INSERT INTO answers_words (answers_words, rank) VALUES ('merge', ?)"
# FTS5 says so: whoever changes fewer rows than that had nothing to merge any more.
_FEWEST_CHANGES = 2
_COUNTS = text(
    "SELECT deletions.version, wipes.version FROM revisions AS deletions, revisions AS wipes"
    " WHERE deletions.name = 'deletions' AND wipes.name = 'wipes'"
    " AND wipes.version < deletions.version"
)
_WIPED = text("UPDATE revisions SET version = :version WHERE name = 'wipes' AND version < :version")
# While we wait for readers nobody can write, so we rather come again.
_PATIENCE_MILLISECONDS = 20


class SqliteResidue:
    """What can still be read in SQLite's files although it was deleted."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def pending(self) -> int | None:
        """Return up to which deletion there is something to wipe; None: there is nothing."""
        with self._database.reading() as tx:
            found = tx.connection.execute(_COUNTS).one_or_none()
        return None if found is None else int(found[0])

    def merge_words(self, *, is_first: bool) -> bool:
        """Take a step in rewriting the full-text index; False once nothing is left to do."""
        with self._database.transaction() as tx:
            before = _changes(tx.connection)
            # A negative number begins to merge all parts into one, a positive one goes on.
            pages = -_STEP_PAGES if is_first else _STEP_PAGES
            tx.connection.exec_driver_sql(_MERGE, (pages,))
            return _changes(tx.connection) - before >= _FEWEST_CHANGES

    def empty_log(self) -> bool:
        """Move the log into the file and empty it; False where somebody still reads from it."""
        usual = int(1000 * self._database.busy_seconds)
        with translated(), self._database.writing():
            connection = self._database.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA busy_timeout = {_PATIENCE_MILLISECONDS}")
                is_busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                cursor.execute(f"PRAGMA busy_timeout = {usual}")
            finally:
                connection.close()
        return not is_busy

    def wiped(self, version: int) -> None:
        """Note that everything up to this deletion has been wiped."""
        with self._database.transaction() as tx:
            tx.connection.execute(_WIPED, {"version": version})


def _changes(connection: Connection) -> int:
    driver = connection.connection.driver_connection
    changes: int = getattr(driver, "total_changes", 0)
    return changes
