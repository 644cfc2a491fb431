"""A port that nobody else gets, also while nobody listens on it."""

import socket


def reserved_port() -> socket.socket:
    """Return a socket that keeps a port of 127.0.0.1 until it is closed.

    It does not listen, so connections are refused. Linux gives the port to nobody who asks for any
    port, but a server that asks for this one may listen on it meanwhile (SO_REUSEADDR).
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    return keeper


def number_of(keeper: socket.socket) -> int:
    return int(keeper.getsockname()[1])
