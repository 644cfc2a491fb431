"""Log lines on their way out, many at once.

A system call for each line costs more than the request that it tells of, and hands the interpreter
to another thread. A killed process loses what it logged in its last moments, nothing else.
"""

import atexit
import os
import threading
import time
from collections import deque
from contextlib import suppress

_PAUSE_SECONDS = 0.05


class Lines:
    """A text stream to a file descriptor that makes its writer wait only where it is flushed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._waiting: deque[str] = deque()
        self._is_waited_for = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log", daemon=True).start()
        atexit.register(self.flush)

    def write(self, text: str) -> None:
        """Take text that is to be written soon."""
        self._waiting.append(text)
        if not self._is_waited_for.is_set():
            self._is_waited_for.set()

    def flush(self) -> None:
        """Write what waits, now. What nobody reads any more is lost."""
        with self._writing:
            texts = [self._waiting.popleft() for _ in range(len(self._waiting))]
            rest = "".join(texts).encode(errors="backslashreplace")
            with suppress(OSError):
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]

    def _run(self) -> None:
        while True:
            self._is_waited_for.wait()
            time.sleep(_PAUSE_SECONDS)
            self._is_waited_for.clear()
            self.flush()
