"""What a server's database holds, read behind its back."""

from contextlib import closing

from sqlalchemy import Row, select

from askonce.db.database import SqlDatabase
from askonce.db.rows import AttemptRow


def attempts(database_url: str) -> list[Row[tuple[str, str | None]]]:
    """Return outcome and reason of all provider calls, the oldest first."""
    with closing(SqlDatabase(database_url, pool_size=1)) as database, database.reading() as tx:
        columns = select(AttemptRow.outcome, AttemptRow.reason)
        return list(tx.connection.execute(columns.order_by(AttemptRow.id)))


def outcomes(database_url: str) -> list[str]:
    """Return how all provider calls ended, the oldest first."""
    return [attempt.outcome for attempt in attempts(database_url)]
