"""The key that all loads send: a service's, so that every user can be asked for."""

from contextlib import suppress

from askonce.core.access import DEFAULT_TENANT, Role
from askonce.core.clock import SystemClock
from askonce.core.errors import ConflictError
from askonce.db.database import SqlDatabase
from askonce.services.keys import Keys

# The same in all runs: no secret, and loads need not be told.
KEY = "ask_" + "A" * 43


def make_key(database_url: str) -> None:
    """Put the key into a migrated database, where it is not there yet."""
    database = SqlDatabase(database_url, pool_size=1)
    keys = Keys(database=database, clock=SystemClock(), random_bytes=bytes)
    with suppress(ConflictError):
        keys.create("bench", tenant=DEFAULT_TENANT, role=Role.SERVICE)
    database.close()
