"""What commands do on the database itself, beside a running service."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from askonce.config import Settings
from askonce.core.clock import Clock, SystemClock
from askonce.core.errors import ConfigurationError
from askonce.db import migrating
from askonce.db.database import SqlDatabase
from askonce.services.budgeting import Budgeting
from askonce.services.keys import Keys
from askonce.services.retention import Retention
from askonce.telemetry import log

_NOT_THERE = "ASKONCE_DATABASE_URL: there is no database that `askonce serve` has set up"


def migrate(settings: Settings, *, is_new_fine: bool = True) -> None:
    """Bring the database to the newest schema, unless the settings leave that to others.

    Unless `is_new_fine`, there must be a database already.

    Raises:
        ConfigurationError: the database URL is not one that can be used, or its schema is not.
        DatabaseUnavailableError: the database does not answer.
    """
    log.configure(settings.log_level, settings.log_format)
    database = SqlDatabase(settings.database_url, pool_size=1)
    try:
        if not is_new_fine and not database.is_there():
            raise ConfigurationError(_NOT_THERE)
        migration(settings)(database)
    finally:
        database.close()


def migration(settings: Settings) -> Callable[[SqlDatabase], None]:
    """Return what a process does about the schema before it works."""
    return migrating.require_current if settings.migrate == "never" else migrating.upgrade


@contextmanager
def keyring(settings: Settings) -> Iterator[Keys]:
    """Give what makes and revokes keys, on a connection of its own, in an up-to-date database.

    Raises:
        ConfigurationError, DatabaseUnavailableError: as `migrate`.
    """
    with _up_to_date(settings) as database:
        yield Keys(database=database, clock=SystemClock(), random_bytes=secrets.token_bytes)


@contextmanager
def budgeting(settings: Settings) -> Iterator[Budgeting]:
    """Give what sets budgets, as `keyring` gives what makes keys."""
    with _up_to_date(settings) as database:
        yield Budgeting(database, SystemClock())


@contextmanager
def _up_to_date(settings: Settings) -> Iterator[SqlDatabase]:
    log.configure(settings.log_level, settings.log_format)
    database = SqlDatabase(settings.database_url, pool_size=1)
    try:
        migration(settings)(database)
        yield database
    finally:
        database.close()


@contextmanager
def pruning(settings: Settings) -> Iterator[Retention]:
    """Give what removes old rows, on connections of its own; raises as `existing_database`."""
    with existing_database(settings) as database:
        yield retention(settings, database, SystemClock())


@contextmanager
def existing_database(settings: Settings) -> Iterator[SqlDatabase]:
    """Give the database as it stands, on connections of its own beside a running service.

    Raises:
        ConfigurationError: there is no database of this version at the URL.
        DatabaseUnavailableError: the database does not answer.
    """
    log.configure(settings.log_level, settings.log_format)
    database = SqlDatabase(settings.database_url, pool_size=2)
    try:
        if not database.is_there() or not migrating.is_current(database):
            raise ConfigurationError(_NOT_THERE)
        yield database
    finally:
        database.close()


def retention(settings: Settings, database: SqlDatabase, clock: Clock) -> Retention:
    """Return what removes old rows, as the settings say how old."""
    days = settings.history_days
    history = None if days is None else timedelta(days=days)
    return Retention(database=database, clock=clock, history=history)
