"""Brings what other threads finish to the event loop, many at once.

Waking the loop for each result costs ten times as much as the result: a batch of hits wakes it
once.
"""

import asyncio
from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


class Arrivals:
    """Where the requests of one event loop wait for futures of other threads."""

    def __init__(self) -> None:
        self._landed: deque[tuple[asyncio.Future[Any], Future[Any]]] = deque()
        self._is_called = False

    async def of(self, future: "Future[T]", *, seconds: float | None = None) -> T:
        """Return what a future gives, or raise what it raises; it goes on when we are cancelled.

        Raises:
            TimeoutError: it gave nothing within `seconds`.
        """
        if future.done():
            return future.result()
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[T] = loop.create_future()
        future.add_done_callback(partial(self._land, loop, waiter))
        if seconds is None:
            return await waiter
        timer = loop.call_later(seconds, _give_up, waiter)
        try:
            return await waiter
        finally:
            timer.cancel()

    def _land(
        self, loop: asyncio.AbstractEventLoop, waiter: "asyncio.Future[T]", done: "Future[T]"
    ) -> None:
        self._landed.append((waiter, done))
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
            waiter, done = self._landed.popleft()
            if waiter.done():
                continue
            error = done.exception()
            if error is None:
                waiter.set_result(done.result())
            else:
                waiter.set_exception(error)


def _give_up(waiter: "asyncio.Future[Any]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
