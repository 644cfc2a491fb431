"""Wipes what was deleted out of the database's files, in the background."""

import threading

from askonce.core.clock import Clock
from askonce.core.erasure import Residue
from askonce.core.errors import DatabaseUnavailableError
from askonce.telemetry import log

_ROUND_SECONDS = 0.5
_AGAIN_SECONDS = 0.1
# A step is followed by a rest many times as long, so that hits beside it keep their p99.
_REST_FACTOR = 10
_PAUSE_FACTOR = 10


class Wiping:
    """One thread that looks twice a second whether something was deleted, by whomever.

    To rewrite a big index takes its time, and everybody's deletions wait for the next time
    together: after a round of a minute there is none for ten. The log is emptied at once.
    """

    def __init__(self, residue: Residue, *, clock: Clock) -> None:
        self._residue = residue
        self._clock = clock
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wiping", daemon=True)
        self._emptied_at: int | None = None
        self._not_before = 0.0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._is_over.wait(_ROUND_SECONDS):
            try:
                self._wipe()
            except DatabaseUnavailableError:
                # It is away, or everybody writes: what is pending stays so.
                pass
            except Exception as error:  # noqa: BLE001 - the next round must come all the same
                log.error("wiping_failed", error=type(error).__name__)

    def _wipe(self) -> None:
        pending = self._residue.pending()
        if pending is None:
            return
        if pending != self._emptied_at:
            self._empty_log()
            self._emptied_at = pending
        began = self._clock.monotonic()
        if began < self._not_before or not self._merge_words():
            return
        self._empty_log()
        if not self._is_over.is_set():
            self._residue.wiped(pending)
        took = self._clock.monotonic() - began
        self._not_before = self._clock.monotonic() + _PAUSE_FACTOR * took

    def _merge_words(self) -> bool:
        """Rewrite the whole index; False where we were told to stop before its end."""
        is_first, is_more = True, True
        while is_more:
            began = self._clock.monotonic()
            is_more = self._residue.merge_words(is_first=is_first)
            is_first = False
            if self._is_over.wait(_REST_FACTOR * (self._clock.monotonic() - began)):
                return False
        return True

    def _empty_log(self) -> None:
        while not self._residue.empty_log():
            if self._is_over.wait(_AGAIN_SECONDS):
                return
