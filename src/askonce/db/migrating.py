"""Brings a database to the newest schema, safely when several processes start at once."""

import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import ProgrammingError

from askonce.core.errors import ConfigurationError
from askonce.db.database import SqlDatabase, translated

if TYPE_CHECKING:
    from alembic.config import Config

# Any constant will do, so long as every replica takes the same: "askonce" in ASCII.
_MIGRATION_LOCK = int.from_bytes(b"askonce", "big")
_POLL_SECONDS = 0.05


def upgrade(database: SqlDatabase, revision: str = "head") -> None:
    """Run all migrations that are missing, in one transaction; do nothing when there are none.

    Raises:
        DatabaseUnavailableError: the database cannot be reached.
        ConfigurationError: it is of a newer version, or not ours.
    """
    try:
        if revision == "head" and is_current(database):
            return
        _upgrade(database, revision)
    except ProgrammingError:
        message = "ASKONCE_DATABASE_URL: the database cannot be used as it is"
        raise ConfigurationError(message) from None


def _upgrade(database: SqlDatabase, revision: str) -> None:
    from alembic import command
    from alembic.util import CommandError

    try:
        run(database, lambda config: command.upgrade(config, revision))
    except CommandError:
        message = "ASKONCE_DATABASE_URL: the database belongs to a newer version of askonce"
        raise ConfigurationError(message) from None


def downgrade(database: SqlDatabase, revision: str) -> None:
    """Undo migrations down to `revision` (`base` undoes all)."""
    from alembic import command

    run(database, lambda config: command.downgrade(config, revision))


def is_current(database: SqlDatabase) -> bool:
    """Return whether the schema is the one that this version was written for."""
    with translated(), database.engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        versions = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return versions == [newest()]


def newest() -> str:
    """Return the revision that all migrations lead to: their files are numbered."""
    files = (_scripts() / "versions").glob("[0-9]*.py")
    return max(file.name for file in files).partition("_")[0]


def run(database: SqlDatabase, step: "Callable[[Config], None]") -> None:
    """Take a step of migration in one transaction, while no other process takes one."""
    config = _config()
    with translated(), database.writing(), database.engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            # A step that works on a big table does so on a connection of its own, while we wait.
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            _take_turn(connection)
        config.attributes["connection"] = connection
        step(config)


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
    config.set_main_option("script_location", str(_scripts()).replace("%", "%%"))
    return config


def _scripts() -> Path:
    """Return where the migrations are: inside the wheel, or beside `src` in a checkout."""
    checkout = Path(__file__).parents[3] / "migrations"
    if (checkout / "env.py").exists():
        return checkout
    return Path(str(resources.files("askonce") / "migrations"))
