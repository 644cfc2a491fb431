"""Brings a database to another schema, safely when several processes start at once."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from askonce.core.errors import ConfigurationError
from askonce.db.database import SqlDatabase, translated
from askonce.db.schema import at, newest, revisions, schema_of, scripts
from askonce.telemetry import log

if TYPE_CHECKING:
    from alembic.config import Config

# Any constant will do, so long as every replica takes the same: "askonce" in ASCII.
_MIGRATION_LOCK = int.from_bytes(b"askonce", "big")
_POLL_SECONDS = 0.05
# For so long a step may ask for a table that somebody else uses, a backup for instance: meanwhile
# everybody who comes after it waits too. Then it lets them pass, and tries again.
_LOCK_MILLISECONDS = 1_000
_REST_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0
_LOCK_NOT_AVAILABLE = "55P03"


def upgrade(database: SqlDatabase, revision: str = "head") -> None:
    """Run the migrations that are missing; do nothing when there are none.

    An empty database gets all of them in one transaction. Another gets each in one of its own, so
    that no table stays locked for longer than its own change takes.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        ConfigurationError: it is of a newer version, or not ours.
    """
    schema = schema_of(database)
    schema.require_known()
    last = newest() if revision == "head" else revision
    steps = [missing for missing in schema.missing if missing <= last]
    try:
        for step in steps[-1:] if schema.at is None else steps:
            _upgrade_to(database, step)
    except ProgrammingError:
        message = "ASKONCE_DATABASE_URL: the database cannot be used as it is"
        raise ConfigurationError(message) from None


def require_current(database: SqlDatabase) -> None:
    """Refuse a database that would have to be migrated.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        ConfigurationError: its schema is an older or a newer one.
    """
    schema_of(database).require_current()


def is_current(database: SqlDatabase) -> bool:
    """Return whether the schema is the one that this version was written for."""
    return schema_of(database).is_current


def downgrade(database: SqlDatabase, revision: str) -> None:
    """Undo migrations down to `revision` (`base` undoes all), in one transaction.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        ConfigurationError: there is no such revision, or the database is older or not ours.
    """
    from alembic import command

    schema = schema_of(database)
    schema.require_known()
    if revision not in ["base", *revisions()]:
        raise ConfigurationError(f"REVISION: {revision} is not one of {', '.join(revisions())}")
    if revision != "base" and (schema.at is None or revision > schema.at):
        raise ConfigurationError(f"REVISION: the database is at {schema.at}, before {revision}")
    run(database, lambda config: command.downgrade(config, revision))


def run(database: SqlDatabase, step: "Callable[[Config], None]") -> None:
    """Take a step of migration in one transaction, while no other process takes one.

    Raises:
        DatabaseUnavailableError: the database cannot be reached, or a table stays locked.
    """
    until = time.monotonic() + _PATIENCE_SECONDS
    with translated(), database.writing():
        while not _has_run(database, step, is_last_try=time.monotonic() > until):
            log.warning("migration_waited_for_a_table")
            time.sleep(_REST_SECONDS)


def _upgrade_to(database: SqlDatabase, revision: str) -> None:
    from alembic import command

    def step(config: "Config") -> None:
        # Somebody else may have had the turn before us.
        had = at(config.attributes["connection"])
        if had is None or had < revision:
            command.upgrade(config, revision)

    run(database, step)


def _has_run(database: SqlDatabase, step: "Callable[[Config], None]", *, is_last_try: bool) -> bool:
    """Take the step; False where a table that it needs is in use, and nothing was done."""
    config = _config()
    try:
        with database.engine.begin() as connection:
            if not database.is_sqlite:
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_LOCK_MILLISECONDS}")
                # A step that works on a big table does so on a connection of its own, while we
                # wait.
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                _take_turn(connection)
            config.attributes["connection"] = connection
            step(config)
    except OperationalError as error:
        if is_last_try or getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _take_turn(connection: Connection) -> None:
    """Wait until no other process migrates.

    Asked again and again: one statement that waits would hold a snapshot all the while, and
    CREATE INDEX CONCURRENTLY, in the process that we wait for, waits for all snapshots.
    """
    lock = text("SELECT pg_try_advisory_xact_lock(:key)")
    while not connection.execute(lock, {"key": _MIGRATION_LOCK}).scalar_one():
        time.sleep(_POLL_SECONDS)


def _config() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts()).replace("%", "%%"))
    return config
