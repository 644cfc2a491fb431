import socket

import pytest

from tests.e2e.asking import analyze, get, history, question, under_way
from tests.e2e.records import outcomes
from tests.serving import Server, Servers, until
from tests.stub.client import StubProvider


def hang_up(server: Server, text: str, stub: StubProvider) -> None:
    """Ask, and go away as soon as the provider has been called."""
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(question(server, text).sent())
        until(lambda: len(stub.calls()) == 1)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_call_in_flight_is_answered_before_the_process_ends(
    servers: Servers, stub: StubProvider, sqlite_url: str, workers: int
) -> None:
    server = servers.start(sqlite_url, ASKONCE_WORKERS=workers)

    with under_way(question(server, "Is there time for this? [[slow=1]]")) as replies:
        until(lambda: len(stub.calls()) == 1)
        server.terminate()
        reply = replies()[0]
    server.wait()

    assert reply.status == 200
    assert outcomes(sqlite_url) == ["answered"]
    assert "Traceback" not in server.log()


def test_a_call_is_finished_even_when_its_client_hangs_up_and_the_process_is_stopped(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)

    hang_up(server, "Does anybody wait? [[slow=1]]", stub)
    server.terminate()
    server.wait()

    assert outcomes(sqlite_url) == ["answered"]
    assert "Traceback" not in server.log()


def test_what_a_client_did_not_wait_for_is_kept_for_its_next_request(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    server = servers.start(database_url)
    text = "Will the answer be there? [[slow=0.5]]"

    hang_up(server, text, stub)
    until(lambda: len(history(server)) == 1)
    again = analyze(server, text)

    assert again.status == 200
    assert again.headers["cache-status"].startswith("askonce; hit")
    assert [row["cached"] for row in history(server)] == [True, False]
    assert len(stub.calls()) == 1


def test_who_asks_again_after_hanging_up_joins_the_call(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    text = "Will the answer be there? [[slow=3]]"

    hang_up(server, text, stub)
    again = analyze(server, text)

    assert again.headers["cache-status"] == "askonce; fwd=uri-miss; collapsed"
    assert len(stub.calls()) == 1
    assert get(server, "/health").status == 200
