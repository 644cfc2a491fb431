"""What all processes share: the tables, SQLite's one write lock, and an eye on every commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from askonce.core.errors import DatabaseUnavailableError
from tests.simulation.history import AnswersChanged, FlightChanged, FlightSeen, History
from tests.simulation.process import Process
from tests.simulation.tables import shared_tables
from tests.simulation.world import World

T = TypeVar("T")

# As short against the lease as the product's own.
_PATIENCE_SECONDS = 1.0


class Disk:
    """The database itself, which can be away, take no writes, or be locked by somebody else."""

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
        self._read: dict[object, Any] = {}
        self._version = -1

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

    def go_away(self, seconds: float) -> None:
        self.is_away = True
        self._world.after(seconds, self.come_back)

    def come_back(self) -> None:
        self.is_away = False

    def refuse_writes(self, seconds: float) -> None:
        self.is_read_only = True
        self._world.after(seconds, self.take_writes)

    def take_writes(self) -> None:
        self.is_read_only = False

    def end_stall(self) -> None:
        if self._is_stalled:
            self._is_stalled = False
            self._release()

    def read(self, what: object, read: Callable[[], T]) -> T:
        """Read something; while nothing is written it is not read again."""
        if self._version != self.tables.changes():
            self._version = self.tables.changes()
            self._read.clear()
        if what not in self._read:
            self._read[what] = read()
        found: T = self._read[what]
        return found

    def look(self) -> None:
        """Note what a commit has changed."""
        now, events = self._world.now, self._history.events
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
        self._history.outcomes = self.tables.outcomes()
        self._history.misbooked = self.tables.misbooked()
        self._history.running = self.running()

    def running(self) -> list[int]:
        """Return the questions that are in flight."""
        return [
            question for question, row in self._flights.items() if row and row.state == "running"
        ]

    def _release(self) -> None:
        self._is_held = False
        waiting, self._waiting = self._waiting, []
        for wake in waiting:
            wake()
