"""An HTTP client that keeps `wire.until`: nothing takes longer, and no answer is longer."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from ipaddress import ip_address
from typing import Any

import httpcore2
import httpx2

from askonce.providers.wire import aside, current_deadline, current_most_bytes
from askonce.telemetry import traces

# One write is not interrupted by the deadline, so it must not take long on a slow line.
_WRITE_BYTES = 16 * 1024


def bounded_client(build: Callable[..., httpx2.Client], tls: ssl.SSLContext) -> httpx2.Client:
    """Return an SDK's own default client, made punctual, that follows no redirect.

    A redirect would carry the question to another origin. `build` is the SDK's
    `DefaultHttpxClient`; it knows about proxies, so it may have several transports. `tls` is
    shared by all clients: it takes longer to make than all the rest.
    """
    client = build(
        follow_redirects=False,
        verify=tls,
        # A kilobyte that was compressed can be a megabyte in memory.
        headers={"accept-encoding": "identity"},
        event_hooks={"request": [_traced], "response": [_bound]},
    )
    # httpx2 has no public door to a transport's network backend (2.16); it fails loudly when moved.
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001
        if transport is None:
            continue
        if not isinstance(transport, httpx2.HTTPTransport):
            raise TypeError(f"cannot bound {type(transport).__name__}")
        pool = transport._pool  # noqa: SLF001
        pool._network_backend = PunctualBackend(pool._network_backend)  # noqa: SLF001
    return client


def _traced(request: httpx2.Request) -> None:
    request.headers.update(traces.outgoing())


def _bound(response: httpx2.Response) -> None:
    """Let no more of an answer in than one may have that is so many tokens long."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx2.DecodingError("encoded, which nobody asked for")
    response.stream = _BoundedStream(response.stream, current_most_bytes())


class _BoundedStream(httpx2.SyncByteStream):
    def __init__(self, inner: Any, most_bytes: int) -> None:
        self._inner = inner
        self._left = most_bytes

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx2.DecodingError("too long")
            yield chunk

    def close(self) -> None:
        self._inner.close()


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
                with aside():
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
        with aside():
            stream = self._inner.connect_unix_socket(path, left, socket_options)
        return PunctualStream(stream)


class PunctualStream(httpcore2.NetworkStream):
    """A connection that keeps the deadline of the thread that uses it."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _clamped(timeout, httpcore2.ReadTimeout)
        with aside():
            return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[start : start + _WRITE_BYTES]
            left = _clamped(timeout, httpcore2.WriteTimeout)
            with aside():
                self._inner.write(piece, left)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = _clamped(timeout, httpcore2.ConnectTimeout)
        with aside():
            stream = self._inner.start_tls(ssl_context, server_hostname, left)
        return PunctualStream(stream)

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
        left = _clamped(timeout, httpcore2.ConnectTimeout)
        with aside():
            return found.result(left)
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout("resolver") from error
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError("resolver") from error
