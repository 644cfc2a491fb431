"""Prunes now and then, in the background of every process."""

import threading
from collections.abc import Callable

from askonce.core.errors import DatabaseUnavailableError
from askonce.core.retention import Gone, Kind
from askonce.services.retention import Retention
from askonce.telemetry import log


class Sweep:
    """One thread that prunes about every `seconds`, and not at all where that is 0.

    `spread` gives a number from 0 to 1: processes that were started together do not sweep together.
    Should they do so all the same, nothing is lost but time.
    """

    def __init__(
        self, retention: Retention, *, seconds: float, spread: Callable[[], float]
    ) -> None:
        self._retention = retention
        self._seconds = seconds
        self._spread = spread
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._seconds > 0:
            self._thread = threading.Thread(target=self._run, name="sweep", daemon=True)
            self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        wait = self._seconds * self._spread()
        while not self._is_over.wait(wait):
            self._sweep()
            wait = self._seconds * (0.5 + self._spread())

    def _sweep(self) -> None:
        gone = dict.fromkeys(Kind, Gone())
        try:
            for step in self._retention.prune():
                gone[step.kind] += step.gone
                if self._is_over.wait(step.rest):
                    break
        except DatabaseUnavailableError:
            # It is away, or everybody writes: the next sweep finds what this one left.
            pass
        except Exception as error:  # noqa: BLE001 - the next sweep must come all the same
            log.error("sweep_failed", error=type(error).__name__)
        if any(part.rows for part in gone.values()):
            log.info(
                "old_rows_removed",
                answers=sum(part.answers for part in gone.values()),
                **{kind.name.lower(): part.rows for kind, part in gone.items()},
            )
