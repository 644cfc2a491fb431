"""Seals the audit trail, in the background of every process.

Whoever comes first appends the next seal; who comes second with the same number appends nothing,
and looks again. So any number of processes may seal one trail, and nobody who writes to it waits.
"""

import threading

from askonce.core.clock import Clock
from askonce.core.errors import AskonceError
from askonce.core.ports import Database, Ledger, Transaction
from askonce.core.seals import MOST_EVENTS, Coverage, Seal, leaf_of, sealed
from askonce.telemetry import log

_REST_FACTOR = 4
# How long it takes to be told of the head in the log, which is another place than the database.
_TOLD_SECONDS = 60.0


class Sealing:
    """Seals what has been committed."""

    def __init__(self, *, database: Database, ledger: Ledger, clock: Clock) -> None:
        self._database = database
        self._ledger = ledger
        self._clock = clock

    def seal(self) -> Seal | None:
        """Append one seal over events that have none, and return it.

        None where there is nothing to seal, or where another process was quicker.

        Raises:
            DatabaseUnavailableError: nothing was sealed.
        """
        with self._database.reading() as tx:
            newest = tx.seals.newest()
            coverage = Coverage() if newest is None else newest.coverage()
            events = tx.trail.unsettled(coverage, limit=MOST_EVENTS)
        if not events:
            return None
        # Outside of any transaction: nobody waits for this.
        seal = sealed(newest, [(id_, leaf_of(facts)) for id_, facts in events], self._clock.now())

        def append(tx: Transaction) -> bool:
            return tx.seals.add(seal)

        return seal if self._ledger.write(append).result() else None


class Sealer:
    """One thread that seals about every `seconds`, and not at all where that is 0."""

    def __init__(self, sealing: Sealing, *, seconds: float, clock: Clock) -> None:
        self._sealing = sealing
        self._seconds = seconds
        self._clock = clock
        self._told_at: float | None = None
        # When a round last left nothing unsealed.
        self._caught_up_at = clock.monotonic()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._seconds > 0:
            self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)
            self._thread.start()

    def lag(self) -> float:
        """Return for how many seconds there may have been events without a seal; 0: as planned."""
        late = self._clock.monotonic() - self._caught_up_at - self._seconds
        return max(0.0, late) if self._seconds > 0 else 0.0

    def close(self) -> None:
        """Seal what is left, and stop."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        rest = self._seconds
        while not self._is_over.wait(rest):
            rest = self.seal()
        self.seal()

    def seal(self) -> float:
        """Append a seal, and return how long to rest."""
        began = self._clock.monotonic()
        try:
            seal = self._sealing.seal()
        except AskonceError:
            # The database is away, or everybody writes: the next seal covers what this one left.
            return self._seconds
        except Exception as error:  # noqa: BLE001 - the next round must come all the same
            log.error("sealing_failed", error=type(error).__name__)
            return self._seconds
        is_full = seal is not None and len(seal.leaves) // len(seal.root) == MOST_EVENTS
        if not is_full:
            self._caught_up_at = self._clock.monotonic()
        if seal is None:
            return self._seconds
        self._tell(seal)
        # Hashing holds the interpreter's lock: it takes a fifth of the time at most.
        busy = _REST_FACTOR * (self._clock.monotonic() - began)
        return busy if is_full else max(busy, self._seconds)

    def _tell(self, seal: Seal) -> None:
        now = self._clock.monotonic()
        if self._told_at is not None and now - self._told_at < _TOLD_SECONDS:
            return
        self._told_at = now
        log.info("audit_sealed", head=f"{seal.number}:{seal.hash.hex()}", events=seal.total)
