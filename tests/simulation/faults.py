"""What goes wrong in one schedule: a few kinds of fault, each at random moments."""

from datetime import timedelta
from typing import Final

from tests.simulation.disk import Disk
from tests.simulation.history import History, Noted
from tests.simulation.kinds import DATABASE_FAULTS, HEARTBEAT, LEASE, PROCESS_FAULTS, Kind, Point
from tests.simulation.process import Process
from tests.simulation.themes import Theme
from tests.simulation.world import World

_JUMPS_IN_HOURS: Final = (-25, -3, -0.05, 0.05, 3, 23.9995, 25)


class Faults:
    """Draws faults until everything heals."""

    def __init__(self, world: World, history: History, disk: Disk, theme: Theme) -> None:
        self._world = world
        self._random = world.random
        self._history = history
        self._disk = disk
        self.kinds: Final = [
            kind for kind in theme.kinds if self._random.random() < theme.kind_odds
        ]
        self.are_over = False
        self._durations = theme.durations
        self._strikes = [kind for kind in (*PROCESS_FAULTS, *DATABASE_FAULTS) if kind in self.kinds]
        self._odds = {
            Point.LOCKED: 0.02,
            Point.COMMITTED: 0.02,
            Point.CALLING: theme.strike_odds,
            Point.ANSWERED: theme.strike_odds,
            Point.SPOOLED: theme.strike_odds,
        }

    def strike(self, process: Process, point: Point) -> None:
        """Perhaps let something happen to the process that runs now, right here."""
        if self.are_over or not self._strikes or self._random.random() >= self._odds[point]:
            return
        kind = self._random.choice(self._strikes)
        self._note(f"{process.name}: {point.name}")
        self._world.after(0, lambda: self.befall(process, kind))
        process.wait(0)

    def befall(self, process: Process, kind: Kind) -> None:
        """Let something happen to a process, or to all."""
        if self.are_over:
            return
        seconds = self._duration()
        self._note(f"{process.name}: {kind.name} for {seconds:.3f}")
        match kind:
            case Kind.CRASH:
                process.die()
            case Kind.FREEZE:
                process.freeze(seconds)
            case Kind.CUT_OFF:
                process.cut_off(seconds)
            case Kind.OUTAGE:
                self._disk.go_away(seconds)
            case Kind.READ_ONLY:
                self._disk.refuse_writes(seconds)
            case Kind.STALL:
                self._disk.stall(seconds)
            case Kind.CLOCK_JUMP:
                hours = self._random.choice(_JUMPS_IN_HOURS)
                process.clock.error += timedelta(hours=hours)
        comes_back = kind in DATABASE_FAULTS and Kind.FLAPPING in self.kinds
        if comes_back and self._random.random() < 0.7:
            pause = 3 * HEARTBEAT * self._random.random() ** 3
            self._world.after(seconds + pause, lambda: self.befall(process, kind))

    def end(self) -> None:
        """Let everything heal; what is wrong with the clocks stays wrong."""
        self._note("all faults are over")
        self.are_over = True
        self._disk.come_back()
        self._disk.take_writes()
        self._disk.end_stall()

    def loses_acknowledgement(self) -> bool:
        return self._happens(Kind.LOST_ACKNOWLEDGEMENT, 0.05)

    def fails_call(self) -> bool:
        return self._happens(Kind.PROVIDER_FAILURE, 0.3)

    def _happens(self, kind: Kind, odds: float) -> bool:
        happens = not self.are_over and kind in self.kinds and self._random.random() < odds
        if happens:
            self._note(kind.name)
        return happens

    def _duration(self) -> float:
        return LEASE * self._random.uniform(*self._random.choice(self._durations))

    def _note(self, what: str) -> None:
        self._history.events.append(Noted(self._world.now, what))
