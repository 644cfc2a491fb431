"""What SIGTERM does: no new work is taken on, the running work is finished, the process ends.

uvicorn by itself would stop listening at once. Whoever sends requests here would then see refused
connections before `/ready` could say that they belong elsewhere.
"""

import signal
import threading
import time
from types import FrameType
from typing import Protocol

_LOOK_SECONDS = 0.05


class Drained(Protocol):
    """What is to end in good order."""

    def drain(self) -> None:
        """Take on nothing new."""

    def is_idle(self) -> bool:
        """Return whether all work is finished."""

    def hurry(self) -> None:
        """Finish what is still running without waiting for anything."""


def drain_on_sigterm(drained: Drained, *, grace: float, is_alone: bool) -> None:
    """Stand in front of the handler that is there, which ends the process; main thread only.

    It is called when all work is finished, or `grace` seconds later. A second SIGTERM ends the
    process on the spot where it `is_alone`. A worker gets two from an operator who signals the
    whole group: one himself, one from its supervisor.
    """
    end = signal.getsignal(signal.SIGTERM)
    draining = threading.Event()

    def finish() -> None:
        until = time.monotonic() + grace
        while not drained.is_idle() and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        drained.hurry()
        if callable(end):
            end(signal.SIGTERM, None)

    def on_sigterm(_number: int, _frame: FrameType | None) -> None:
        if not draining.is_set():
            draining.set()
            drained.drain()
            threading.Thread(target=finish, name="drain", daemon=True).start()
        elif is_alone:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, on_sigterm)
