"""An HTTP client that keeps `wire.until`: every connect, read and write ends by the deadline."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2

from askonce.providers.wire import current_deadline

# One write is not interrupted by the deadline, so it must not take long on a slow line.
_WRITE_BYTES = 16 * 1024


def punctual_client(build: Callable[..., httpx2.Client], max_connections: int) -> httpx2.Client:
    """Return an SDK's own default client, made punctual, that follows no redirect.

    A redirect would carry the question to another origin. `build` is the SDK's
    `DefaultHttpxClient`; it knows about proxies, so it may have several transports.
    """
    limits = httpx2.Limits(
        max_connections=max_connections, max_keepalive_connections=max_connections
    )
    client = build(follow_redirects=False, limits=limits)
    # httpx2 has no public door to a transport's network backend (2.16); it fails loudly when moved.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if transport is None:
            continue
        if not isinstance(transport, httpx2.HTTPTransport):
            raise TypeError(f"cannot bound {type(transport).__name__}")
        pool = transport._pool  # noqa: SLF001
        pool._network_backend = PunctualBackend(pool._network_backend)  # noqa: SLF001
    return client


class PunctualBackend(httpcore2.NetworkBackend):
    """A network backend that keeps the deadline of the thread that uses it."""

    def __init__(self, inner: httpcore2.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        options = list(socket_options or ())
        failure: Exception = httpcore2.ConnectError("no address")
        for address in _addresses(host, port, timeout):
            left = _clamped(timeout, httpcore2.ConnectTimeout)
            try:
                stream = self._inner.connect_tcp(address, port, left, local_address, options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return PunctualStream(stream)
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        left = _clamped(timeout, httpcore2.ConnectTimeout)
        return PunctualStream(self._inner.connect_unix_socket(path, left, socket_options))


class PunctualStream(httpcore2.NetworkStream):
    """A connection that keeps the deadline of the thread that uses it."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _clamped(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[start : start + _WRITE_BYTES]
            self._inner.write(piece, _clamped(timeout, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = _clamped(timeout, httpcore2.ConnectTimeout)
        return PunctualStream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _clamped(timeout: float | None, expired: type[httpcore2.TimeoutException]) -> float | None:
    """Return `timeout`, or less where the thread's deadline is sooner."""
    deadline = current_deadline()
    if deadline is None:
        return timeout
    left = deadline.remaining()
    if left <= 0:
        raise expired("deadline")
    return left if timeout is None else min(timeout, left)


def _addresses(host: str, port: int, timeout: float | None) -> list[str]:
    """Resolve `host` in time. The resolver knows no timeout, so it gets a thread to be slow in."""
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result([str(entry[4][0]) for entry in entries])
        except (OSError, UnicodeError) as error:
            found.set_exception(error)

    threading.Thread(target=look_up, name="askonce-dns", daemon=True).start()
    try:
        return found.result(_clamped(timeout, httpcore2.ConnectTimeout))
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout("resolver") from error
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError("resolver") from error
