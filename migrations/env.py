"""Runs migrations on the connection it is given, or (from the alembic command) on its own."""

from typing import Any

from alembic import context
from sqlalchemy import Connection

from askonce.config import load_settings
from askonce.db.database import SqlDatabase
from askonce.db.rows import Row


def is_ours(_object: Any, name: str | None, kind: str, *_rest: Any) -> bool:
    """Leave out what only one database has; its migration is tested by what it does."""
    # SQLite's full-text index is a virtual table with shadow tables; PostgreSQL's is an index on
    # an expression, which cannot be compared.
    return not (
        kind in {"table", "index"}
        and (name or "").startswith(("answers_words", "ix_answers_words"))
    )


def migrate(connection: Connection) -> None:
    """Run the migrations that were asked for: in the transaction that there is, or each in one."""
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        include_object=is_ours,
        render_as_batch=connection.dialect.name == "sqlite",
        # SQLite can undo DDL too: a process that is killed here leaves nothing half done.
        transactional_ddl=True,
        # Some look at big tables from another connection, which the one before must not lock.
        transaction_per_migration=True,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    database = SqlDatabase(load_settings().database_url)
    with database.engine.connect() as own:
        migrate(own)
    database.close()
