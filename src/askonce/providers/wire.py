"""The moment after which a thread does nothing more on the network, whatever the server does.

An SDK's timeout is per read: a server that sends one byte a second holds a call for ever.
`http_client` asks here before everything that it does on a socket.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from askonce.core.clock import Deadline

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

CONNECT_SECONDS = 5.0

_thread = threading.local()


@contextmanager
def until(deadline: Deadline) -> Iterator[None]:
    """Bound by `deadline` all that this thread does on the network inside the block."""
    outer = current_deadline()
    _thread.deadline = deadline
    try:
        yield
    finally:
        _thread.deadline = outer


def current_deadline() -> Deadline | None:
    """Return what `until` has set for this thread."""
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    return deadline


def each_until(deadline: Deadline, events: Iterator[T]) -> Iterator[T]:
    """Yield `events`, each read bounded by `deadline`.

    The bound is set for every step anew: a stream may be read on by another thread, and between
    two steps this thread may serve somebody else.
    """
    while True:
        with until(deadline):
            try:
                event = next(events)
            except StopIteration:
                return
        yield event


def timeouts(deadline: Deadline) -> "httpx2.Timeout":
    """Return the SDK's own timeouts for one call: waiting for a free connection ends by them."""
    import httpx2

    seconds = max(deadline.remaining(), 0.001)
    return httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
