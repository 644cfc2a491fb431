"""The product's own SQL behind a write lock and a line that can fail.

A transaction's statements run without interruption once its turn has come: as long as the lock is
held nobody else writes, so a process that is frozen holding it may as well have run them before.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from askonce.core.errors import DatabaseUnavailableError
from askonce.core.flights import Seen
from askonce.db.analyses import SqlAnalyses
from askonce.db.attempts import SqlAttempts
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.entries import RememberedAnswers
from askonce.db.flights import SqlFlights
from tests.simulation.disk import Disk
from tests.simulation.faults import Faults
from tests.simulation.kinds import Point
from tests.simulation.process import Process


@dataclass(frozen=True, slots=True)
class SimulatedTransaction(SqlTransaction):
    """A transaction whose repositories can be replaced by broken ones."""

    flights_type: type[SqlFlights]
    analyses_type: type[SqlAnalyses]

    @property
    def flights(self) -> SqlFlights:
        return self.flights_type(self.connection, self.remembered)

    @property
    def analyses(self) -> SqlAnalyses:
        return self.analyses_type(self.connection)


@dataclass(frozen=True, slots=True)
class _Reader(SimulatedTransaction):
    """A view whose repeated reads cost nothing."""

    disk: Disk

    @property
    def flights(self) -> SqlFlights:
        return _RememberedFlights(self.flights_type(self.connection, self.remembered), self.disk)

    @property
    def attempts(self) -> SqlAttempts:
        return _RememberedAttempts(self.connection, self.disk)


class _RememberedFlights(SqlFlights):
    def __init__(self, flights: SqlFlights, disk: Disk) -> None:
        self._flights = flights
        self._disk = disk

    def read(self, fingerprints: Iterable[bytes]) -> dict[bytes, Seen]:
        wanted = tuple(fingerprints)
        return self._disk.read(wanted, lambda: self._flights.read(wanted))


@dataclass(frozen=True, slots=True)
class _RememberedAttempts(SqlAttempts):
    disk: Disk

    def owners_of_open(self) -> Sequence[str]:
        return self.disk.read("owners", lambda: SqlAttempts.owners_of_open(self))


class SimulatedDatabase(SqlDatabase):
    """One process's way to the database."""

    def __init__(
        self,
        process: Process,
        disk: Disk,
        faults: Faults,
        *,
        trip_seconds: float,
        flights_type: type[SqlFlights],
        analyses_type: type[SqlAnalyses],
    ) -> None:
        self._process = process
        self._disk = disk
        self._faults = faults
        self._trip_seconds = trip_seconds
        connection = disk.tables.connection
        self._types = flights_type, analyses_type
        self._remembered = RememberedAnswers()
        self._reader = _Reader(connection, self._remembered, flights_type, analyses_type, disk)

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        process = self._process
        self._travel()
        self._refuse_reading()
        with self._disk.held(process):
            self._faults.strike(process, Point.LOCKED)
            self._travel()
            self._refuse_writing()
            self._disk.tables.forget_changes()
            connection = self._disk.tables.connection
            with connection.begin():
                tx = SimulatedTransaction(connection, self._remembered, *self._types)
                yield tx
                tx.write_booked()
            self._disk.look()
        self._faults.strike(process, Point.COMMITTED)
        if self._faults.loses_acknowledgement():
            raise DatabaseUnavailableError
        self._travel()

    @contextmanager
    def reading(self) -> Iterator[SqlTransaction]:
        self._refuse_reading()
        yield self._reader
        self._reader.connection.rollback()

    def ping(self) -> None:
        self._refuse_reading()

    def _travel(self) -> None:
        self._process.wait(self._trip_seconds * self._process.world.random.random())

    def _refuse_reading(self) -> None:
        if self._disk.is_away or self._process.is_cut_off:
            raise DatabaseUnavailableError

    def _refuse_writing(self) -> None:
        self._refuse_reading()
        if self._disk.is_read_only:
            raise DatabaseUnavailableError
