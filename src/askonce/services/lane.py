"""The slow lane: threads for provider calls, and a bounded queue in front of them."""

import threading
from collections.abc import Callable
from queue import SimpleQueue

from askonce.core.errors import OverloadedError
from askonce.telemetry import log


class Lane:
    """Runs up to `slots` calls at once and lets up to `queue` more wait, as futures."""

    def __init__(self, *, slots: int, queue: int) -> None:
        self._limit = slots + queue
        self._busy = 0
        self._is_closed = False
        self._lock = threading.Lock()
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        # All of them now: who submits would have to wait for each new thread to get going, and in
        # a burst that is the thread that commits for everybody.
        self._threads = [
            threading.Thread(target=self._work, name=f"call-{number}", daemon=True)
            for number in range(slots)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call` when a slot is free.

        Raises:
            OverloadedError: the queue is full, or the lane is closed.
        """
        with self._lock:
            if self._busy >= self._limit:
                raise OverloadedError
            self._take_on(call)

    def go_on(self, call: Callable[[], None]) -> None:
        """Run the next step of what was taken on before, however much waits.

        Raises:
            OverloadedError: the lane is closed.
        """
        with self._lock:
            self._take_on(call)

    def is_idle(self) -> bool:
        """Return whether no call is running or waiting."""
        return self._busy == 0

    def slots(self) -> int:
        """Return how many calls can run at once."""
        return len(self._threads)

    def in_use(self) -> int:
        """Return how many calls are running."""
        return min(self._busy, len(self._threads))

    def waiting(self) -> int:
        """Return how many calls wait for a slot."""
        return self._busy - self.in_use()

    def close(self) -> None:
        """Wait for the calls that were taken on: they are being paid for."""
        with self._lock:
            self._is_closed = True
            for _ in self._threads:
                self._calls.put(None)
        for thread in self._threads:
            thread.join()

    def _take_on(self, call: Callable[[], None]) -> None:
        if self._is_closed:
            raise OverloadedError
        self._busy += 1
        self._calls.put(call)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - the slot must not be lost with it
                log.error("call_failed", error=type(error).__name__)
            # Else an idle thread would keep the last question and its answer alive.
            del call
            with self._lock:
                self._busy -= 1
