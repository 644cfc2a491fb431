"""A line between client and server that breaks when it is told to."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cut_line(port: int, is_enough: Callable[[int, bytes], bool]) -> Iterator[int]:
    """Forward to `port`; gives the port to use instead.

    A connection ends as soon as `is_enough` of its number (from 1) and of what came back on it.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    numbers = iter(range(1, 1_000_000))

    def forward(inner: socket.socket) -> None:
        number, came = next(numbers), b""
        with inner, socket.create_connection(("127.0.0.1", port)) as outer, suppress(OSError):
            threading.Thread(target=_pour, args=(inner, outer), daemon=True).start()
            while piece := outer.recv(65536):
                came += piece
                inner.sendall(piece)
                if is_enough(number, came):
                    # Closing alone would wait for whoever reads from it.
                    inner.shutdown(socket.SHUT_RDWR)
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                inner, _ = listener.accept()
                threading.Thread(target=forward, args=(inner,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _pour(source: socket.socket, drain: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            drain.sendall(piece)
        drain.shutdown(socket.SHUT_WR)
