"""The machines that processes run on: what outlives a process, and who knows that it died."""

from collections.abc import Sequence

from askonce.core.purchases import Purchase
from tests.simulation.faults import Faults
from tests.simulation.kinds import Point
from tests.simulation.process import Process


class Machine:
    """One host: its disk, and its kernel, which knows the processes that run on it."""

    def __init__(self) -> None:
        self.processes: list[Process] = []
        self.spooled: dict[tuple[int, str], Purchase] = {}


class MachineLiveness:
    """Implements the port `Liveness`: nothing is known of processes on other machines."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def is_dead(self, owner: str) -> bool:
        return self._state(owner) is True

    def is_alive(self, owner: str) -> bool:
        return self._state(owner) is False

    def _state(self, owner: str) -> bool | None:
        for process in self._machine.processes:
            if process.name == owner:
                return process.is_dead
        return None


class MachineSpool:
    """Implements the port `Spool`: files on the machine's disk, which kill -9 does not touch."""

    def __init__(self, process: Process, machine: Machine, faults: Faults) -> None:
        self._process = process
        self._spooled = machine.spooled
        self._faults = faults

    def put(self, purchase: Purchase) -> None:
        self._spooled[purchase.attempt_id, purchase.owner] = purchase
        self._faults.strike(self._process, Point.SPOOLED)

    def make_safe(self, purchase: Purchase) -> None:
        self._spooled[purchase.attempt_id, purchase.owner] = purchase

    def drop(self, purchase: Purchase) -> None:
        self._spooled.pop((purchase.attempt_id, purchase.owner), None)

    def set_aside(self, purchase: Purchase) -> None:
        raise AssertionError(f"{purchase!r} cannot be committed")

    def waiting(self, fingerprint: bytes | None = None) -> Sequence[Purchase]:
        return [
            purchase
            for purchase in self._spooled.values()
            if fingerprint is None or purchase.lease.fingerprint == fingerprint
        ]
