"""What bounds a call on the network, whatever the server does: a moment, and a number of bytes.

An SDK's timeout is per read: a server that sends one byte a second holds a call for ever. And an
SDK reads an answer to its end, however long it is. `http_client` asks here before everything that
it does on a socket.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from askonce.core.clock import Deadline

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

CONNECT_SECONDS: Final = 5.0
# An event of a stream takes up to half a kilobyte for one token.
_BYTES_PER_TOKEN: Final = 1024
_BYTES_BESIDES: Final = 1024 * 1024
_MOST_BYTES: Final = 64 * 1024 * 1024
# Of a whole batch's results, which are read line by line.
RESULT_BYTES: Final = 4 * 1024 * 1024 * 1024

_thread = threading.local()
# The interpreter runs one thread at a time anyway. Without this a thousand answers that come
# within a second fight for it, and cache hits get it a thousandth of the time.
_turn = threading.Lock()


@contextmanager
def until(
    deadline: Deadline, *, max_output_tokens: int = 0, at_most: int | None = None
) -> Iterator[None]:
    """Bound by `deadline` all that this thread does on the network inside the block.

    What comes may have `at_most` so many bytes, else as many as so many tokens take. The threads
    in such blocks take turns: whoever waits for the network is `aside`.
    """
    _turn.acquire()
    _thread.deadline = deadline
    _thread.most_bytes = most_bytes(max_output_tokens) if at_most is None else at_most
    try:
        yield
    finally:
        _thread.deadline = None
        _turn.release()


@contextmanager
def aside() -> Iterator[None]:
    """Let another thread have its turn while this one waits."""
    if current_deadline() is None:
        yield
        return
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()


def current_deadline() -> Deadline | None:
    """Return what `until` has set for this thread."""
    deadline: Deadline | None = getattr(_thread, "deadline", None)
    return deadline


def current_most_bytes() -> int:
    """Return how long an answer may be that this thread begins to read."""
    found: int = getattr(_thread, "most_bytes", _MOST_BYTES)
    return found


def most_bytes(max_output_tokens: int) -> int:
    """Return how many bytes an answer of so many tokens may take, streamed or not."""
    return min(_BYTES_BESIDES + _BYTES_PER_TOKEN * max_output_tokens, _MOST_BYTES)


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
    """Return the SDK's own timeouts for one call."""
    import httpx2

    seconds = max(deadline.remaining(), 0.001)
    return httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
