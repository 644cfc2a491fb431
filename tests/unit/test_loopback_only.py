"""The guard that keeps tests away from real providers."""

import socket

import pytest

from tests.stub.loopback_only import OutsideWorldError, loopback_only


@pytest.mark.parametrize(
    "host", ["api.anthropic.com", "api.openai.com", "192.0.2.1", b"example.org"]
)
def test_no_name_of_another_machine_is_looked_up(host: str | bytes) -> None:
    with loopback_only(), pytest.raises(OutsideWorldError):
        socket.getaddrinfo(host, 443)


def test_no_other_machine_is_connected_to() -> None:
    with loopback_only(), socket.socket() as outgoing, pytest.raises(OutsideWorldError):
        outgoing.connect(("192.0.2.1", 443))


def test_this_machine_is_reached_as_before() -> None:
    with loopback_only(), socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1]), timeout=60).close()
