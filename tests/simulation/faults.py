"""What goes wrong in one schedule: a random few kinds of fault, each at random moments."""

from datetime import timedelta
from enum import Enum, auto
from typing import Final

from tests.simulation.history import History, Noted
from tests.simulation.process import Process
from tests.simulation.world import World

HEARTBEAT: Final = 0.2
LEASE: Final = 1.0
# Faults come within this time; then everything heals.
FAULTY_SECONDS: Final = 6.0


class Kind(Enum):
    """A kind of fault. A schedule has some of them, so that they do not drown each other."""

    CRASH = auto()
    FREEZE = auto()
    CUT_OFF = auto()
    OUTAGE = auto()
    READ_ONLY = auto()
    STALL = auto()
    LOST_ACKNOWLEDGEMENT = auto()
    CLOCK_JUMP = auto()
    PROVIDER_FAILURE = auto()
    REMOVAL = auto()
    NO_CACHE = auto()
    NO_STORE = auto()


class Point(Enum):
    """A moment at which a process is struck more often than chance would have it."""

    # Inside a transaction: on SQLite, everybody else waits.
    LOCKED = auto()
    # The commit is durable, and nobody has been told.
    COMMITTED = auto()
    # The attempt is written, and the provider not called yet.
    CALLING = auto()
    # The provider has answered, and nothing is written yet.
    ANSWERED = auto()


_ODDS: Final = {
    Point.LOCKED: 0.02,
    Point.COMMITTED: 0.02,
    Point.CALLING: 0.12,
    Point.ANSWERED: 0.12,
}


class Faults:
    """Draws faults until everything heals."""

    def __init__(self, world: World, history: History) -> None:
        self._world = world
        self._random = world.random
        self._history = history
        self.kinds: Final = frozenset(kind for kind in Kind if self._random.random() < 0.4)
        self.are_over = False
        self._strikes = [
            kind for kind in (Kind.CRASH, Kind.FREEZE, Kind.CUT_OFF) if kind in self.kinds
        ]

    def strike(self, process: Process, point: Point) -> None:
        """Perhaps let the process that runs now fail right here."""
        if self.are_over or not self._strikes or self._random.random() >= _ODDS[point]:
            return
        kind = self._random.choice(self._strikes)
        self.note(f"{process.name} is struck: {kind.name}, {point.name}")
        self._world.after(0, lambda: self.befall(process, kind))
        process.wait(0)

    def befall(self, process: Process, kind: Kind) -> None:
        """Let a process fail."""
        if kind is Kind.CRASH:
            process.die()
        elif kind is Kind.FREEZE:
            process.freeze(self.duration())
        elif kind is Kind.CUT_OFF:
            process.cut_off(self.duration())
        elif kind is Kind.CLOCK_JUMP:
            hours = self._random.choice([-25, -3, -0.05, 0.05, 3, 23.9995, 25])
            process.clock.error += timedelta(hours=hours)
            self.note(f"{process.name}'s clock jumps by {hours} hours")

    def duration(self) -> float:
        """Return how long something lasts: shorter than a beat, or longer than a lease."""
        return (
            self._random.choice([0.5, 1.5, 3.0, 6.0, 12.0, 30.0])
            * HEARTBEAT
            * (0.5 + self._random.random())
        )

    def loses_acknowledgement(self) -> bool:
        is_lost = (
            not self.are_over
            and Kind.LOST_ACKNOWLEDGEMENT in self.kinds
            and self._random.random() < 0.05
        )
        if is_lost:
            self.note("a commit's acknowledgement is lost")
        return is_lost

    def fails_call(self) -> bool:
        return (
            not self.are_over
            and Kind.PROVIDER_FAILURE in self.kinds
            and self._random.random() < 0.3
        )

    def note(self, what: str) -> None:
        self._history.events.append(Noted(self._world.now, what))
