"""The faults that there are, and the moments at which they hurt most."""

from enum import Enum, auto
from typing import Final

HEARTBEAT: Final = 0.2
LEASE: Final = 1.0
# Faults come within this time; then everything heals.
FAULTY_SECONDS: Final = 6.0


class Kind(Enum):
    """A kind of fault, or of request that makes others matter."""

    CRASH = auto()
    FREEZE = auto()
    CUT_OFF = auto()
    OUTAGE = auto()
    READ_ONLY = auto()
    STALL = auto()
    # What befalls the database comes back after a short while, again and again.
    FLAPPING = auto()
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
    # The answer is in the spool, and not in the database yet.
    SPOOLED = auto()


# What happens at a moment; the other kinds are ways of going on.
EVENTS: Final = (
    Kind.CRASH,
    Kind.FREEZE,
    Kind.CUT_OFF,
    Kind.OUTAGE,
    Kind.READ_ONLY,
    Kind.STALL,
    Kind.CLOCK_JUMP,
)
PROCESS_FAULTS: Final = (Kind.CRASH, Kind.FREEZE, Kind.CUT_OFF)
DATABASE_FAULTS: Final = (Kind.OUTAGE, Kind.READ_ONLY, Kind.STALL)
