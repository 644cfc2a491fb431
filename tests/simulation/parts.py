"""The product's services, unchanged but for what their threads wait on.

Each class replaces what starts a real thread in its parent; the parent's own methods do the work.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TypeVar

from askonce.core.errors import OverloadedError
from askonce.core.flights import LeaseTimes
from askonce.core.ports import Liveness, Transaction
from askonce.db.ledger import GroupCommitLedger
from askonce.services.heartbeat import Heartbeat
from askonce.services.lane import Lane
from askonce.services.recovery import Recovery
from askonce.services.watch import Followed, Watch
from askonce.telemetry.meters import UNMETERED
from tests.simulation.database import SimulatedDatabase
from tests.simulation.process import Process
from tests.simulation.threads import Pulse, VirtualEvent, VirtualFuture, VirtualQueue

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


class SimulatedLedger(GroupCommitLedger):
    """Commits what waits, in virtual time."""

    def __init__(self, process: Process, database: SimulatedDatabase) -> None:
        self._process = process
        self._database = database
        self._waiting = VirtualQueue(process)
        self._together = deque()
        self._alone = deque()
        self._meters = UNMETERED
        process.spawn(self._run)

    def write(  # type: ignore[override]  # the ledger's own transactions are SqlTransactions
        self, work: Callable[[Transaction], T], *, key: bytes = b"", budgets: Sequence[int] = ()
    ) -> "Future[T]":
        return VirtualFuture(self._process, super().write(work, key=key, budgets=budgets))

    def write_together(  # type: ignore[override]
        self, together: Callable[[Transaction, Sequence[A]], Sequence[B]], item: A
    ) -> "Future[B]":
        return VirtualFuture(self._process, super().write_together(together, item))


class SimulatedHeartbeat(Heartbeat):
    """Beats in virtual time."""

    def __init__(self, process: Process, ledger: SimulatedLedger, *, seconds: float) -> None:
        self._ledger = ledger
        self._owner = process.name
        self._seconds = seconds
        self._leading = set()
        self._lock = threading.Lock()
        self._is_over = self._pulse = Pulse(process, is_idle=lambda: not self._leading)
        process.spawn(self._run)

    def start(self, fingerprint: bytes) -> None:
        super().start(fingerprint)
        self._pulse.quicken()


class SimulatedWatch(Watch):
    """Looks in virtual time."""

    def __init__(
        self,
        process: Process,
        database: SimulatedDatabase,
        ledger: SimulatedLedger,
        *,
        liveness: Liveness,
        times: LeaseTimes,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._liveness = liveness
        self._times = times
        self._clock = process.clock
        self._followed: dict[bytes, Followed] = {}
        self._lock = threading.Lock()
        self._has_work = VirtualEvent(process)
        self._is_closing = False
        process.spawn(self._run)


class SimulatedLane(Lane):
    """Runs each step in a thread of its own."""

    def __init__(self, process: Process, *, slots: int) -> None:
        self._process = process
        self._slots = slots
        self._taken = 0

    def submit(self, call: Callable[[], None]) -> None:
        if self._taken == self._slots:
            raise OverloadedError
        self._taken += 1
        self._process.spawn(lambda: self._run(call))

    def _run(self, call: Callable[[], None]) -> None:
        try:
            call()
        finally:
            self._taken -= 1


class SimulatedRecovery(Recovery):
    """Looks around in virtual time."""

    def live(self, process: Process, when_ready: Callable[[], None]) -> None:
        """Look around once, then take requests and go on looking, in a thread."""

        def run() -> None:
            self._look_around()
            when_ready()
            self._run()

        self._has_news = VirtualEvent(process)
        process.spawn(run)

    def has_parked(self) -> bool:
        """Return whether answers of this process wait for their commit."""
        return bool(self._parked)
