"""Clients that never come to an end hold nothing but their socket, and not for ever."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from tests.databases import SqliteTemplates
from tests.e2e.asking import analyze, get, raw
from tests.serving import PATIENCE_SECONDS, Server, Servers, until
from tests.stub.client import StubProvider

POST = b"POST /analyze/ann HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
BODY = b'content-length: 900\r\n\r\n{"text": "'


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    running_stub: StubProvider,
    sqlite_templates: SqliteTemplates,
) -> Iterator[Server]:
    servers = Servers(tmp_path_factory.mktemp("slow") / "servers", running_stub)
    yield servers.start(sqlite_templates.copy(), ASKONCE_REQUEST_TIMEOUT=1)
    servers.stop()


def line_to(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_SECONDS)


def dribbled(line: socket.socket, drop: bytes) -> bytes:
    """Send a few bytes every now and then, until the server has had enough; return its words."""
    line.settimeout(0.1)
    said = b""

    def is_cut_off() -> bool:
        nonlocal said
        with suppress(TimeoutError):
            received = line.recv(65536)
            said += received
            return not received
        line.sendall(drop)
        return False

    with suppress(ConnectionError):
        until(is_cut_off)
    return said


@pytest.mark.parametrize(
    ("start", "drop"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"", b"\r\n", id="empty lines"),
        pytest.param(b"GET /hea", b"l", id="a line"),
        pytest.param(POST, b"a: b\r\n", id="headers"),
        pytest.param(POST + b"x: ", b"y", id="one header"),
        pytest.param(POST + BODY, b"x", id="a body"),
        pytest.param(POST + BODY.replace(b"900", b"9000000"), b"x", id="too large a body"),
        pytest.param(
            POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n", id="chunks of a body"
        ),
        pytest.param(b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n", id="a second request"),
    ],
)
def test_who_dribbles_is_cut_off(server: Server, start: bytes, drop: bytes) -> None:
    with closing(line_to(server)) as line:
        line.sendall(start)
        said = dribbled(line, drop)

    # Where the request was refused before its end, that has been said already.
    assert b"HTTP/1.1 408 " in said or b"HTTP/1.1 413 " in said
    assert "Traceback" not in server.log()
    assert "request_crashed" not in server.log()


def test_hundreds_who_dribble_are_in_nobodys_way(server: Server) -> None:
    with ExitStack() as lines:
        for number in range(300):
            line = lines.enter_context(closing(line_to(server)))
            line.sendall(POST + (BODY if number % 2 else b""))

        assert get(server, "/health").status == 200
        assert analyze(server, "Am I held up?").status == 200


def test_a_call_may_take_longer_than_a_request(server: Server) -> None:
    assert analyze(server, "Take your time. [[slow=1.5]]").status == 200


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"x: " + b"y" * 300_000 + b"\r\n", id="a long header"),
        pytest.param(b"x: y\r\n" * 40_000, id="many headers"),
        pytest.param(b"x: " + b"y" * 70_000 + b"\r\n", id="just too many"),
    ],
)
def test_a_head_that_is_too_large_is_refused(server: Server, head: bytes) -> None:
    reply = raw(server, POST + head + b"content-length: 2\r\n\r\n{}")

    assert (reply.status, reply.problem) == (431, "headers-too-large")


def test_a_path_that_does_not_end_is_refused(server: Server) -> None:
    assert raw(server, b"GET /" + b"a" * 300_000).status in (400, 431)


def test_a_large_head_is_still_taken(server: Server) -> None:
    reply = raw(server, b"GET /ready HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 30_000 + b"\r\n\r\n")

    assert reply.status == 200
