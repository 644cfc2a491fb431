"""An answer while it is being made: written once, read by any number, each at its own pace."""

import threading
from collections.abc import Callable


class Tape:
    """What a provider has said so far.

    A slow reader holds nobody back, and costs nothing: all read the same pieces, and each only
    remembers how far it has come.
    """

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._is_over = False
        self._listeners: set[Callable[[], None]] = set()
        self._lock = threading.Lock()

    def write(self, piece: str) -> None:
        """Add what came next, and tell the listeners."""
        self._pieces.append(piece)
        self._tell()

    def end(self) -> None:
        """Tell the listeners that nothing more comes."""
        self._is_over = True
        self._tell()

    def read(self, start: int) -> tuple[list[str], bool]:
        """Return the pieces from number `start` on, and whether they are the last ones."""
        # In this order: pieces that come between the two lines are read next time.
        is_over = self._is_over
        return self._pieces[start:], is_over

    def is_blank(self) -> bool:
        return not self._pieces

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener`, in the writer's thread, after each change; return how to stop it."""
        with self._lock:
            self._listeners.add(listener)
        return lambda: self._listeners.discard(listener)

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


def follow(source: Tape, target: Tape) -> None:
    """Write everything that is on one tape, and will be, to another one, which is not ended."""
    lock = threading.Lock()
    position = 0

    def copy() -> None:
        nonlocal position
        with lock:
            pieces, _ = source.read(position)
            position += len(pieces)
            for piece in pieces:
                target.write(piece)

    source.listen(copy)
    copy()
