"""Brings what other threads finish to the event loop, many at once.

Waking the loop for each result costs ten times as much as the result: a batch of hits wakes it
once. So does a timer for each who waits: one looks after all of them.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, TypeVar

from askonce.services.futures import tell

T = TypeVar("T")

_LOOK_SECONDS = 1.0


class Arrival(Generic[T]):
    """What another thread will tell somebody who waits on the event loop, once.

    It takes a fifth of the time that a `concurrent.futures.Future` takes: nobody can wait for it
    but by `Arrivals.at`.
    """

    __slots__ = ("_arrivals", "_loop", "waiter")

    def __init__(self, arrivals: "Arrivals") -> None:
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()
        self.waiter: asyncio.Future[T] = self._loop.create_future()

    def set_result(self, result: T) -> None:
        self._arrivals.land(self._loop, self.waiter, result, None)

    def set_exception(self, error: BaseException) -> None:
        self._arrivals.land(self._loop, self.waiter, None, error)


class Arrivals:
    """Where the requests of one event loop wait for what other threads do."""

    def __init__(self) -> None:
        self._landed: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._is_called = False
        # Who waits, and until when by the loop's clock.
        self._due: dict[asyncio.Future[Any], float] = {}
        self._look: asyncio.TimerHandle | None = None

    async def of(self, future: "Future[T]", *, seconds: float | None = None) -> T:
        """Return what a future gives, or raise what it raises; it goes on when we are cancelled.

        Raises:
            TimeoutError: it gave nothing within `seconds`, or the second after them.
        """
        if future.done():
            return future.result()
        arrival: Arrival[T] = Arrival(self)
        future.add_done_callback(partial(tell, arrival))
        return await self.at(arrival, seconds=seconds)

    async def at(self, arrival: Arrival[T], *, seconds: float | None = None) -> T:
        """Return what is told; raises as `of`."""
        waiter = arrival.waiter
        if seconds is None:
            return await waiter
        loop = waiter.get_loop()
        self._due[waiter] = loop.time() + seconds
        if self._look is None:
            self._look = loop.call_later(min(seconds, _LOOK_SECONDS), self._give_up)
        try:
            return await waiter
        finally:
            del self._due[waiter]

    def land(
        self,
        loop: asyncio.AbstractEventLoop,
        waiter: "asyncio.Future[Any]",
        result: object,
        error: BaseException | None,
    ) -> None:
        """Have something told on a loop, from whatever thread."""
        self._landed.append((waiter, result, error))
        if self._is_called:
            # Put first, looked at then: whoever is called will see it.
            return
        self._is_called = True
        try:
            loop.call_soon_threadsafe(self._bring)
        except RuntimeError:
            # The loop is gone: a call outlived the server's last reader.
            self._is_called = False

    def _bring(self) -> None:
        self._is_called = False
        while self._landed:
            waiter, result, error = self._landed.popleft()
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(result)
            else:
                waiter.set_exception(error)

    def _give_up(self) -> None:
        """Let go of all who have waited for long enough, and look again while anybody waits."""
        self._look = None
        for waiter, until in self._due.items():
            loop = waiter.get_loop()
            if self._look is None:
                self._look = loop.call_later(_LOOK_SECONDS, self._give_up)
            if until <= loop.time() and not waiter.done():
                waiter.set_exception(TimeoutError())
