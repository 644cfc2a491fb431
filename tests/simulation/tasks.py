"""Threads of the product as tasks of the simulation: exactly one of them runs at any moment.

The services block as they do in production, so each of their threads has a stack of its own. A
task runs on a carrier thread that moves only while it holds the baton, and hands it back when the
task waits: nothing ever runs beside anything, and the order is the scheduler's alone.
"""

import threading
from collections.abc import Callable
from typing import Final


class Killed(BaseException):
    """The process of this task is dead; whatever it still holds is let go."""


class Task:
    """One thread of a simulated process."""

    def __init__(self, run: Callable[[], None]) -> None:
        self.is_over = False
        # Counts suspensions, so that a timer that was outrun by a wake-up is not a second one.
        self.pauses = 0
        self._run = run
        self._error: BaseException | None = None
        self._is_killed = False
        self._carrier = _IDLE.pop() if _IDLE else _Carrier()
        self._carrier.task = self

    def resume(self) -> None:
        """Let the task run until it waits or ends.

        Raises:
            BaseException: what the task ended with, except `Killed`.
        """
        if self.is_over:
            return
        _RUNNING.append(self)
        self._carrier.hand_over()
        _RUNNING.pop()
        self._let_go()

    def suspend(self) -> None:
        """Hand the baton back and wait for it.

        Raises:
            Killed: instead of ever going on.
        """
        if not self._is_killed:
            self.pauses += 1
            self._carrier.hand_back()
        if self._is_killed:
            raise Killed

    def kill(self) -> None:
        """Unwind the task's stack."""
        self._is_killed = True
        self.resume()

    def carried(self) -> None:
        """Run in the carrier's thread."""
        try:
            # One that is killed before its first step never takes it.
            if not self._is_killed:
                self._run()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - the scheduler raises it
            self._error = error
        self.is_over = True

    def _let_go(self) -> None:
        if self.is_over:
            _IDLE.append(self._carrier)
        if self._error is not None:
            raise self._error


def current() -> Task:
    """Return the task that runs now.

    Raises:
        RuntimeError: none does; the scheduler itself must never wait.
    """
    if not _RUNNING:
        raise RuntimeError("code that must not block has blocked")
    return _RUNNING[-1]


class _Carrier:
    """A thread that carries one task after another."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self._go = threading.Lock()
        self._back = threading.Lock()
        self._go.acquire()
        self._back.acquire()
        threading.Thread(target=self._carry, name="carrier", daemon=True).start()

    def hand_over(self) -> None:
        self._go.release()
        self._back.acquire()

    def hand_back(self) -> None:
        self._back.release()
        self._go.acquire()

    def _carry(self) -> None:
        while True:
            self._go.acquire()
            if self.task is not None:
                self.task.carried()
                self.task = None
            self._back.release()


_IDLE: Final[list[_Carrier]] = []
_RUNNING: Final[list[Task]] = []
