"""The product's services, unchanged but for what their threads wait on.

Each class replaces its parent's constructor, which starts a real thread; the parent's own methods
do the work.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from askonce.core.errors import OverloadedError
from askonce.core.flights import LeaseTimes
from askonce.core.ports import Transaction
from askonce.db.ledger import GroupCommitLedger
from askonce.services.heartbeat import Heartbeat
from askonce.services.lane import Lane
from askonce.services.watch import Followed, Watch
from tests.simulation.database import SimulatedDatabase
from tests.simulation.process import Process
from tests.simulation.threads import Pulse, VirtualEvent, VirtualFuture, VirtualQueue

T = TypeVar("T")


class SimulatedLedger(GroupCommitLedger):
    """Commits what waits, in virtual time."""

    def __init__(self, process: Process, database: SimulatedDatabase) -> None:
        self._process = process
        self._database = database
        self._waiting = VirtualQueue(process)
        process.spawn(self._run)

    def write(  # type: ignore[override]  # the ledger's own transactions are SqlTransactions
        self, work: Callable[[Transaction], T], *, key: bytes = b""
    ) -> "Future[T]":
        return VirtualFuture(self._process, super().write(work, key=key))


class SimulatedHeartbeat(Heartbeat):
    """Beats in virtual time."""

    def __init__(self, process: Process, ledger: SimulatedLedger, *, seconds: float) -> None:
        self._ledger = ledger
        self._owner = process.name
        self._seconds = seconds
        self._leading = set()
        self._lock = threading.Lock()
        self._is_over = self._pulse = Pulse(process)
        self._pulse.is_idle = lambda: not self._leading
        process.spawn(self._run)

    def start(self, fingerprint: bytes) -> None:
        was_idle = not self._leading
        super().start(fingerprint)
        if was_idle:
            self._pulse.set()
            self._pulse.clear()


class SimulatedWatch(Watch):
    """Looks in virtual time."""

    def __init__(
        self,
        process: Process,
        database: SimulatedDatabase,
        ledger: SimulatedLedger,
        *,
        is_dead: Callable[[str], bool],
        times: LeaseTimes,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._liveness = _Liveness(is_dead)
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


class _Liveness:
    """Implements the port `Liveness`."""

    def __init__(self, is_dead: Callable[[str], bool]) -> None:
        self._is_dead = is_dead

    def is_dead(self, owner: str) -> bool:
        return self._is_dead(owner)
