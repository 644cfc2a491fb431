"""What schedules are about: chance alone seldom brings the faults and the requests together."""

from dataclasses import dataclass
from typing import Final

from tests.simulation.kinds import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """What may be drawn. Each kind of fault is taken or left out, so that none drowns another."""

    servers: tuple[int, ...]
    questions: tuple[int, ...]
    requests: tuple[int, ...]
    # From one request to the next, in seconds.
    pauses: tuple[float, ...]
    # How long a provider thinks at most.
    calls: tuple[float, ...]
    ttls: tuple[float, ...]
    kinds: tuple[Kind, ...]
    # How likely each kind is taken, and how likely a process is struck during a call.
    kind_odds: float
    strike_odds: float
    # Within how many seconds faults begin, and how long they last, in leases.
    fault_seconds: float = 4.0
    durations: tuple[tuple[float, float], ...] = ((0.1, 0.9), (0.9, 2.2), (2.0, 5.0))
    # How long one way to the database takes at most.
    trips: tuple[float, ...] = (0.002,)
    # How likely the database lets only one writer in, as SQLite does.
    one_writer_odds: float = 0.6


EVERYTHING: Final = Theme(
    servers=(2, 2, 3, 4),
    questions=(1, 1, 2),
    requests=(3, 4, 5, 6),
    pauses=(0.0, 0.1, 0.1, 0.3, 3.0),
    calls=(0.05, 0.5, 2.0),
    ttls=(2.0, 86_400.0),
    kinds=tuple(Kind),
    kind_odds=0.4,
    strike_odds=0.15,
)
# Many wait for one long call; its leader does not answer, and each of them is ready to replace it.
SIEGE: Final = Theme(
    servers=(4,),
    questions=(1,),
    requests=(4, 5),
    pauses=(0.1,),
    calls=(3.0, 5.0),
    ttls=(86_400.0,),
    kinds=(Kind.CRASH, Kind.FREEZE, Kind.CUT_OFF, Kind.PROVIDER_FAILURE),
    kind_odds=0.6,
    strike_odds=0.5,
    trips=(0.05,),
)
# Many wait for one long call; its leader lives, but nobody can write.
DROUGHT: Final = Theme(
    servers=(3,),
    questions=(1,),
    requests=(3,),
    pauses=(0.05,),
    calls=(3.0,),
    ttls=(86_400.0,),
    kinds=(Kind.STALL,),
    kind_odds=1.0,
    strike_odds=0.0,
    fault_seconds=0.8,
    durations=((0.9, 2.0),),
    one_writer_odds=1.0,
)
# The same, and the database comes back for a moment only.
FLICKER: Final = Theme(
    servers=(3,),
    questions=(1,),
    requests=(3,),
    pauses=(0.05,),
    calls=(4.0,),
    ttls=(86_400.0,),
    kinds=(Kind.STALL, Kind.FLAPPING),
    kind_odds=1.0,
    strike_odds=0.0,
    fault_seconds=1.0,
    durations=((0.5, 0.8), (1.0, 1.4)),
    one_writer_odds=1.0,
)
# Answers are refreshed, deleted and expire while the leaders of old calls are away.
RENEWAL: Final = Theme(
    servers=(2, 3),
    questions=(1,),
    requests=(5, 6),
    pauses=(0.5, 1.5, 2.0),
    calls=(0.1, 0.5, 1.0),
    ttls=(1.0, 86_400.0),
    kinds=(
        Kind.CRASH,
        Kind.FREEZE,
        Kind.FREEZE,
        Kind.LOST_ACKNOWLEDGEMENT,
        Kind.CLOCK_JUMP,
        Kind.PROVIDER_FAILURE,
        Kind.REMOVAL,
        Kind.REMOVAL,
        Kind.NO_CACHE,
        Kind.NO_CACHE,
        Kind.NO_STORE,
    ),
    kind_odds=0.5,
    strike_odds=0.4,
)
THEMES: Final = (EVERYTHING, SIEGE, DROUGHT, FLICKER, RENEWAL)
