"""The slow lane: threads for provider calls, and a bounded queue in front of them."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from askonce.core.errors import OverloadedError


class Lane:
    """Runs up to `slots` calls at once and lets up to `queue` more wait, as futures."""

    def __init__(self, *, slots: int, queue: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="call")
        self._limit = slots + queue
        self._busy = 0
        self._lock = threading.Lock()

    def submit(self, call: Callable[[], None]) -> None:
        """Run `call` when a slot is free.

        Raises:
            OverloadedError: the queue is full.
        """
        with self._lock:
            if self._busy >= self._limit:
                raise OverloadedError
            self._busy += 1
        try:
            self._threads.submit(call).add_done_callback(self._leave)
        except RuntimeError as error:
            self._leave()
            # The lane is closed: this process is about to end.
            raise OverloadedError from error

    def is_idle(self) -> bool:
        """Return whether no call is running or waiting."""
        return self._busy == 0

    def close(self) -> None:
        """Wait for the calls that were taken on: they are being paid for."""
        self._threads.shutdown(wait=True)

    def _leave(self, _done: "Future[None] | None" = None) -> None:
        with self._lock:
            self._busy -= 1
