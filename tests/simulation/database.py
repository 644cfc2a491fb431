"""The product's own SQL behind a write lock and a line that can fail.

A transaction's statements run without interruption once its turn has come: as long as the lock is
held nobody else writes, so a process that is frozen holding it may as well have run them before.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from askonce.core.errors import DatabaseUnavailableError
from askonce.core.flights import Seen
from askonce.db.analyses import SqlAnalyses
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.flights import SqlFlights
from tests.simulation.faults import Faults, Point
from tests.simulation.history import AnswersChanged, FlightChanged, FlightSeen, History
from tests.simulation.process import Process
from tests.simulation.tables import shared_tables
from tests.simulation.world import World

_TRIP_SECONDS = 0.002
# As short against the lease as the product's own.
_PATIENCE_SECONDS = 1.0


class Disk:
    """What all processes share: the tables, the write lock, and an eye on every commit."""

    def __init__(self, world: World, history: History, *, has_one_writer: bool) -> None:
        self.tables: Final = shared_tables()
        self.tables.clear()
        self.has_one_writer: Final = has_one_writer
        self.is_away = False
        self.is_read_only = False
        self._world = world
        self._history = history
        self._is_held = False
        self._is_stalled = False
        self._waiting: list[Callable[[], None]] = []
        self._numbers: dict[bytes, int] = {}
        self._flights: dict[int, FlightSeen | None] = {}
        self._answers: dict[int, str] = {}
        self._read: dict[tuple[bytes, ...], dict[bytes, Seen]] = {}

    def know(self, fingerprint: bytes, question: int) -> None:
        """Remember which question a row is about."""
        self._numbers[fingerprint] = question

    @contextmanager
    def held(self, process: Process) -> Iterator[None]:
        """Hold the write lock, as `WriterGate` does: whoever asks first once it is free, gets it.

        PostgreSQL has no such lock.

        Raises:
            DatabaseUnavailableError: it was not free in time.
        """
        if not self.has_one_writer:
            yield
            return
        until = self._world.now + _PATIENCE_SECONDS
        while self._is_held:
            if self._world.now >= until:
                raise DatabaseUnavailableError
            self._waiting.append(process.waker())
            process.wait(until - self._world.now)
        self._is_held = True
        try:
            yield
        finally:
            self._release()

    def stall(self, seconds: float) -> None:
        """Let somebody else (a backup, a shell) hold the write lock."""
        if self.has_one_writer and not self._is_held:
            self._is_held = self._is_stalled = True
            self._world.after(seconds, self.end_stall)

    def end_stall(self) -> None:
        if self._is_stalled:
            self._is_stalled = False
            self._release()

    def read(self, fingerprints: tuple[bytes, ...], flights: SqlFlights) -> dict[bytes, Seen]:
        """Read rows; what has not changed since is not read again."""
        if fingerprints not in self._read:
            self._read[fingerprints] = flights.read(fingerprints)
        return self._read[fingerprints]

    def look(self) -> None:
        """Note what a commit has changed."""
        now, events = self._world.now, self._history.events
        if self.tables.flights:
            self._read.clear()
        for fingerprint, row in self.tables.flights:
            question = self._numbers[fingerprint]
            events.append(FlightChanged(now, question, row))
            self._flights[question] = row
        for answer_id, text in self.tables.answers:
            if text is None:
                self._answers = {
                    id_: kept for id_, kept in self._answers.items() if id_ != answer_id
                }
            else:
                self._answers = {**self._answers, answer_id: text}
            events.append(AnswersChanged(now, self._answers))

    def take_stock(self) -> None:
        """Note what the tables hold at the end."""
        self._history.analyses = self.tables.analyses()
        self._history.bought = self.tables.bought()
        self._history.running = [
            question for question, row in self._flights.items() if row and row.state == "running"
        ]

    def _release(self) -> None:
        self._is_held = False
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()


@dataclass(frozen=True, slots=True)
class SimulatedTransaction(SqlTransaction):
    """A transaction whose repositories can be replaced by broken ones."""

    flights_type: type[SqlFlights]
    analyses_type: type[SqlAnalyses]

    @property
    def flights(self) -> SqlFlights:
        return self.flights_type(self.connection)

    @property
    def analyses(self) -> SqlAnalyses:
        return self.analyses_type(self.connection)


@dataclass(frozen=True, slots=True)
class _Reader(SimulatedTransaction):
    """A view whose repeated reads cost nothing."""

    disk: Disk

    @property
    def flights(self) -> SqlFlights:
        return _RememberedFlights(self.flights_type(self.connection), self.disk)


class _RememberedFlights(SqlFlights):
    def __init__(self, flights: SqlFlights, disk: Disk) -> None:
        self._flights = flights
        self._disk = disk

    def read(self, fingerprints: Iterable[bytes]) -> dict[bytes, Seen]:
        return self._disk.read(tuple(fingerprints), self._flights)


class SimulatedDatabase(SqlDatabase):
    """One process's way to the database."""

    def __init__(
        self,
        process: Process,
        disk: Disk,
        faults: Faults,
        *,
        flights_type: type[SqlFlights],
        analyses_type: type[SqlAnalyses],
    ) -> None:
        self._process = process
        self._disk = disk
        self._faults = faults
        connection = disk.tables.connection
        self._tx = SimulatedTransaction(connection, flights_type, analyses_type)
        self._reader = _Reader(connection, flights_type, analyses_type, disk)

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
            with self._tx.connection.begin():
                yield self._tx
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
        self._process.wait(_TRIP_SECONDS * self._process.world.random.random())

    def _refuse_reading(self) -> None:
        if self._disk.is_away or self._process.is_cut_off:
            raise DatabaseUnavailableError

    def _refuse_writing(self) -> None:
        self._refuse_reading()
        if self._disk.is_read_only:
            raise DatabaseUnavailableError
