"""Shows other processes that the leader of each flight lives."""

import threading

from askonce.core.ports import Ledger
from askonce.telemetry import log


class Heartbeat:
    """One thread that beats all flights which this process leads, in one statement."""

    def __init__(self, ledger: Ledger, *, owner: str, seconds: float) -> None:
        self._ledger = ledger
        self._owner = owner
        self._seconds = seconds
        self._leading: set[bytes] = set()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def start(self, fingerprint: bytes) -> None:
        with self._lock:
            self._leading.add(fingerprint)

    def stop(self, fingerprint: bytes) -> None:
        with self._lock:
            self._leading.discard(fingerprint)

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(self._seconds):
            with self._lock:
                # Sorted, so that two replicas lock rows in the same order.
                leading = sorted(self._leading)
            if leading:
                self._beat(leading)

    def _beat(self, leading: list[bytes]) -> None:
        # A beat that cannot be written shows as silence, which is what it is; the next one counts.
        try:
            self._ledger.write(lambda tx: tx.flights.beat(leading, self._owner)).result()
        except Exception as error:  # noqa: BLE001 - without this thread all leaders would look dead
            log.warning("heartbeat_failed", error=type(error).__name__)
