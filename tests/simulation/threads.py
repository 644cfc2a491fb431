"""What the product's threads wait on, made to wait in virtual time."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from tests.simulation.process import Process

T = TypeVar("T")


class VirtualEvent(threading.Event):
    """An event that suspends the task which waits for it."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self._process = process
        self._wakers: list[Callable[[], None]] = []

    def set(self) -> None:
        super().set()
        wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def wait(self, timeout: float | None = None) -> bool:
        if not self.is_set():
            self._wakers.append(self._process.waker())
            self._process.wait(timeout)
        return self.is_set()


class Pulse(VirtualEvent):
    """A heartbeat's event: ticks that would find nothing to do are not simulated one by one."""

    def __init__(self, process: Process, *, is_idle: Callable[[], bool]) -> None:
        super().__init__(process)
        self._is_idle = is_idle

    def quicken(self) -> None:
        """Let an idle heartbeat go on from its next tick."""
        self.set()
        self.clear()

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is None or not self._is_idle():
            self._process.wait(timeout)
            return False
        began = self._process.world.now
        super().wait()
        self._process.wait(timeout - (self._process.world.now - began) % timeout)
        return False


class VirtualQueue(queue.SimpleQueue[Any]):
    """A queue that suspends the task which finds it empty."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._wakers: list[Callable[[], None]] = []

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: FBT001, FBT002 - SimpleQueue's own signature
        super().put(item, block, timeout)
        wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002 - the same
        while self.empty():
            self._wakers.append(self._process.waker())
            self._process.wait(timeout)
        return super().get(block, timeout)


class VirtualFuture(Future[T]):
    """The future of `inner`, whose `result` suspends the task that waits for it."""

    def __init__(self, process: Process, inner: "Future[T]") -> None:
        super().__init__()
        self._process = process
        inner.add_done_callback(self._take)

    def result(self, timeout: float | None = None) -> T:
        del timeout
        if not self.done():
            wake = self._process.waker()
            self.add_done_callback(lambda _: wake())
            self._process.wait()
        return super().result(0)

    def _take(self, inner: "Future[T]") -> None:
        error = inner.exception()
        if error is None:
            self.set_result(inner.result())
        else:
            self.set_exception(error)
