"""One engine, and transactions that can be seen as blocks."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from askonce.core.errors import ConfigurationError, DatabaseUnavailableError
from askonce.core.events import Event
from askonce.core.ports import Prunable
from askonce.core.retention import Kind
from askonce.db.analyses import SqlAnalyses
from askonce.db.answers import SqlAnswers
from askonce.db.attempts import SqlAttempts
from askonce.db.budgets import SqlBudgets
from askonce.db.entries import RememberedAnswers
from askonce.db.erasures import SqlErasures
from askonce.db.events import SqlTrail
from askonce.db.exports import SqlExports
from askonce.db.flights import SqlFlights
from askonce.db.gate import WriterGate
from askonce.db.idempotency import SqlIdempotencyKeys
from askonce.db.keys import SqlKeys
from askonce.db.messages import SqlMessages
from askonce.db.preferences import SqlPreferences
from askonce.db.prepared import run
from askonce.db.provider_batches import SqlProviderBatches
from askonce.db.pruning import (
    SqlOldAnalyses,
    SqlOldAttempts,
    SqlOldEntries,
    SqlOldErasures,
    SqlOldIdempotencyKeys,
)
from askonce.db.pruning_money import SqlOldRateLimits, SqlOldReservations
from askonce.db.rate_limits import SqlRateLimits
from askonce.db.seals import SqlSeals
from askonce.db.sessions import SqlSessions
from askonce.db.sign_ins import SqlOldSignIns, SqlSignIns
from askonce.db.usage import SqlUsage

BUSY_SECONDS = 5
_KEPT_SECONDS = 1.0
# Those of `db/many.py`, and all others.
_REMEMBERED_STATEMENTS = 320
# In a URL: a pooler in transaction mode stands before the database, as Prisma says it too.
_POOLER = "pgbouncer"
_PRUNABLE: dict[Kind, Callable[[Connection], Prunable]] = {
    Kind.ENTRIES: SqlOldEntries,
    Kind.IDEMPOTENCY_KEYS: SqlOldIdempotencyKeys,
    Kind.ANALYSES: SqlOldAnalyses,
    Kind.ATTEMPTS: SqlOldAttempts,
    Kind.RATE_LIMITS: SqlOldRateLimits,
    Kind.RESERVATIONS: SqlOldReservations,
    Kind.ERASURES: SqlOldErasures,
    Kind.SIGN_INS: SqlOldSignIns,
}


@dataclass(frozen=True, slots=True)
class SqlTransaction:
    """The repositories of one unit of work, all on one connection."""

    connection: Connection
    remembered: RememberedAnswers
    booked: list[Event] = field(default_factory=list, kw_only=True)

    def book(self, event: Event) -> None:
        """Have an event written with all that the transaction does, or not at all."""
        self.booked.append(event)

    def write_booked(self) -> None:
        """Write all events at once, at the very end: nobody waits for locks on usage for long."""
        if self.booked:
            self.usage.add(self.booked)
            self.trail.add(self.booked)

    @property
    def answers(self) -> SqlAnswers:
        return SqlAnswers(self.connection)

    @property
    def analyses(self) -> SqlAnalyses:
        return SqlAnalyses(self.connection)

    @property
    def flights(self) -> SqlFlights:
        return SqlFlights(self.connection, self.remembered)

    @property
    def attempts(self) -> SqlAttempts:
        return SqlAttempts(self.connection)

    @property
    def idempotency_keys(self) -> SqlIdempotencyKeys:
        return SqlIdempotencyKeys(self.connection)

    @property
    def sessions(self) -> SqlSessions:
        return SqlSessions(self.connection)

    @property
    def messages(self) -> SqlMessages:
        return SqlMessages(self.connection)

    @property
    def preferences(self) -> SqlPreferences:
        return SqlPreferences(self.connection)

    @property
    def erasures(self) -> SqlErasures:
        return SqlErasures(self.connection)

    @property
    def exports(self) -> SqlExports:
        return SqlExports(self.connection)

    @property
    def trail(self) -> SqlTrail:
        return SqlTrail(self.connection)

    @property
    def seals(self) -> SqlSeals:
        return SqlSeals(self.connection)

    @property
    def usage(self) -> SqlUsage:
        return SqlUsage(self.connection)

    @property
    def budgets(self) -> SqlBudgets:
        return SqlBudgets(self.connection)

    @property
    def rate_limits(self) -> SqlRateLimits:
        return SqlRateLimits(self.connection)

    @property
    def keys(self) -> SqlKeys:
        return SqlKeys(self.connection)

    @property
    def sign_ins(self) -> SqlSignIns:
        return SqlSignIns(self.connection)

    @property
    def provider_batches(self) -> SqlProviderBatches:
        return SqlProviderBatches(self.connection)

    def prunable(self, kind: Kind) -> Prunable:
        """Return the rows of a kind that grow old."""
        return _PRUNABLE[kind](self.connection)


class SqlDatabase:
    """SQLite or PostgreSQL, by its URL."""

    def __init__(
        self, url: str, *, pool_size: int = 20, busy_seconds: float = BUSY_SECONDS
    ) -> None:
        self._url, is_pooled = _without_pooler(parsed(url))
        self.busy_seconds = busy_seconds
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.engine = (
            self._sqlite(pool_size)
            if self.is_sqlite
            else self._postgresql(pool_size, is_pooled=is_pooled)
        )
        self._remembered = RememberedAnswers()
        self._idle_writers: list[tuple[float, Connection]] = []
        self._gate = (
            WriterGate(self.path_beside(".lock"), patience=busy_seconds) if self.is_sqlite else None
        )

    @property
    def name(self) -> str:
        """What this database is called, wherever it is named from; without the password."""
        if self.is_sqlite:
            return str(self.path_beside(""))
        return self._url.render_as_string(hide_password=True)

    @property
    def url(self) -> URL:
        """Where this database is, with its password."""
        return self._url

    def path_beside(self, suffix: str) -> Path:
        """Return the path of a file that stands beside the SQLite file."""
        return Path(f"{Path(self._url.database or '').absolute()}{suffix}")

    def is_there(self) -> bool:
        """Return False where connecting would make a new, empty file."""
        return not self.is_sqlite or self.path_beside("").exists()

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """Open a unit of work: committed at the end of the block, undone by any exception.

        Raises:
            DatabaseUnavailableError: the database did not answer in time.
        """
        with translated(), self.writing(), self._writer() as connection, connection.begin():
            tx = SqlTransaction(connection, self._remembered)
            yield tx
            tx.write_booked()

    @contextmanager
    def reading(self) -> Iterator[SqlTransaction]:
        """Open a view that takes no write lock.

        Raises:
            DatabaseUnavailableError: the database did not answer in time.
        """
        with translated(), self.engine.connect() as connection:
            reader = connection.execution_options(sqlite_begin="BEGIN")
            with reader.begin():
                yield SqlTransaction(reader, self._remembered)

    def writing(self) -> AbstractContextManager[None]:
        """Hold the place of SQLite's one writer; nothing to hold on PostgreSQL."""
        return nullcontext() if self._gate is None else self._gate.entered()

    def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            DatabaseUnavailableError: it gives none.
        """
        with self.reading() as tx:
            tx.connection.execute(text("SELECT 1"))

    def connections_in_use(self) -> int:
        """Return how many connections are checked out of the pool now, to be used."""
        checked_out: int = self.engine.pool.checkedout()  # type: ignore[attr-defined]
        return checked_out - len(self._idle_writers)

    def most_connections(self) -> int:
        """Return how many connections there can be."""
        size: int = self.engine.pool.size()  # type: ignore[attr-defined]
        return size

    def close(self) -> None:
        for _, connection in self._idle_writers:
            connection.close()
        self.engine.dispose()
        if self._gate is not None:
            self._gate.close()

    @contextmanager
    def _writer(self) -> Iterator[Connection]:
        """Lend a connection; one is kept for transactions that follow soon.

        Taking one from the pool and giving it back costs more than a small transaction does. One
        that was idle for longer goes through the pool, which looks whether it still lives.
        """
        connection = self._kept_writer() or self.engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._idle_writers:
            connection.close()
        else:
            self._idle_writers.append((_monotonic(), connection))

    def _kept_writer(self) -> Connection | None:
        try:
            since, connection = self._idle_writers.pop()
        except IndexError:
            return None
        if _monotonic() - since < _KEPT_SECONDS:
            return connection
        connection.close()
        return None

    def _sqlite(self, pool_size: int) -> Engine:
        engine = create_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            # Parameters are texts and answers; an error's message ends in a log.
            hide_parameters=True,
            pool_timeout=self.busy_seconds,
            connect_args={
                "timeout": self.busy_seconds,
                "check_same_thread": False,
                "cached_statements": _REMEMBERED_STATEMENTS,
            },
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgresql(self, pool_size: int, *, is_pooled: bool) -> Engine:
        engine = create_engine(
            self._url,
            pool_size=pool_size,
            max_overflow=0,
            # Parameters are texts and answers; an error's message ends in a log.
            hide_parameters=True,
            pool_timeout=self.busy_seconds,
            pool_pre_ping=True,
            pool_recycle=1800,
            connect_args={
                "connect_timeout": self._url.query.get("connect_timeout", 3),
                "application_name": "askonce",
                # A connection that nothing comes back on is given up: by default that takes hours.
                "tcp_user_timeout": 10_000,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                # A pooler in transaction mode gives each transaction to another session: what a
                # session prepared or was told at its start is not there.
                **({"prepare_threshold": None} if is_pooled else {"options": _at_start()}),
            },
        )
        if is_pooled:
            event.listen(engine, "begin", _limit_transaction)
        return engine


def _monotonic() -> float:
    # Not time.monotonic(), which a frozen wall clock stops.
    return time.clock_gettime(time.CLOCK_MONOTONIC)


# A process that is frozen in a transaction loses its locks.
_LIMITS = {
    "statement_timeout": 5000,
    "lock_timeout": 4000,
    "idle_in_transaction_session_timeout": 10_000,
}


def _at_start() -> str:
    return " ".join(f"-c {name}={milliseconds}" for name, milliseconds in _LIMITS.items())


def _limit_transaction(connection: Connection) -> None:
    limits = (f"SET LOCAL {name} = {milliseconds}" for name, milliseconds in _LIMITS.items())
    connection.exec_driver_sql("; ".join(limits))


def _without_pooler(url: URL) -> tuple[URL, bool]:
    """Return the URL without `pgbouncer=true`, and whether that was in it."""
    rest = url.difference_update_query([_POOLER])
    return rest, url.query.get(_POOLER) == "true"


def parsed(url: str) -> URL:
    """Return the URL of a database that askonce can live on.

    Raises:
        ConfigurationError: it names another kind of database, or one that only lives in memory.
    """
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        message = "ASKONCE_DATABASE_URL is not a database URL"
        raise ConfigurationError(message) from None
    backend = "postgresql" if parts.drivername == "postgres" else parts.get_backend_name()
    if backend == "postgresql":
        return parts.set(drivername="postgresql+psycopg")
    if backend != "sqlite":
        message = f"ASKONCE_DATABASE_URL: {backend} is not supported; use sqlite or postgresql"
        raise ConfigurationError(message)
    if parts.database in (None, "", ":memory:"):
        message = "ASKONCE_DATABASE_URL: SQLite needs a file; memory would forget what was paid for"
        raise ConfigurationError(message)
    return parts.set(drivername="sqlite")


@contextmanager
def translated() -> Iterator[None]:
    """Turn what drivers raise when a database is away, busy or full into our own error."""
    try:
        yield
    except (DataError, IntegrityError, NotSupportedError, ProgrammingError):
        raise
    except (DatabaseError, InterfaceError, PoolTimeoutError) as error:
        raise DatabaseUnavailableError(type(error).__name__) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # We say BEGIN ourselves: the driver's own is deferred and starts too late.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        # NORMAL lost 200-790 acknowledged commits in each power cut that was tried.
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        "temp_store=MEMORY",
        # 16 MiB of log: pages that are written again and again reach the file a fourth as often.
        "wal_autocheckpoint=4000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writer that begins as a reader fails with "database is locked" when it first writes.
    begin = connection.get_execution_options().get("sqlite_begin", "BEGIN IMMEDIATE")
    run(connection, begin, ())
