"""SIGTERM with calls in flight."""

import signal

from tests.e2e.asking import Call, analyze, at_once, get, history, question, under_way
from tests.e2e.records import outcomes
from tests.serving import Servers, until
from tests.stub.client import StubProvider

SLOW_ONCE = "Who answers this? [[held=start times=1]]"
# Nobody waits for such a lease to end.
PATIENT = {"ASKONCE_HEARTBEAT": 1800, "ASKONCE_LEASE": 3600}


def test_a_process_that_ends_takes_nothing_on_and_finishes_what_runs(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    analyze(server, "What is known?")

    with under_way(question(server, "Is there time for this? [[held=start]]")) as replies:
        until(lambda: len(stub.calls()) == 2)
        server.terminate()
        until(lambda: get(server, "/ready").status == 503)
        ready, read = get(server, "/ready"), get(server, "/history/ann")
        refused = at_once(
            [
                question(server, "What is new?"),
                question(server, "What is known?"),
                Call(port=server.port, method="DELETE", path="/history/1"),
            ]
        )
        stub.let_go()
        finished = replies()[0]
    code = server.wait()

    assert (ready.problem, ready.headers["connection"]) == ("not-ready", "close")
    assert (read.status, read.headers["connection"]) == (200, "close")
    assert [(reply.status, reply.problem) for reply in refused] == [(503, "not-ready")] * 3
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    assert {reply.headers["connection"] for reply in refused} == {"close"}
    assert (finished.status, finished.json["cached"]) == (200, False)
    assert code == -signal.SIGTERM
    assert outcomes(sqlite_url) == ["answered", "answered"]
    assert "Traceback" not in server.log()


def test_a_process_with_nothing_to_do_ends_at_once(servers: Servers, sqlite_url: str) -> None:
    server = servers.start(sqlite_url)

    server.terminate()
    code = server.wait()

    assert code == -signal.SIGTERM
    assert "Traceback" not in server.log()


def test_two_workers_finish_what_runs_and_take_nothing_on(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_WORKERS=2)

    with under_way(question(server, "Is there time for this? [[held=start]]")) as replies:
        until(lambda: len(stub.calls()) == 1)
        server.terminate()
        until(lambda: analyze(server, "What is new?").status in {0, 503})
        stub.let_go()
        finished = replies()[0]
    server.wait()

    assert finished.status == 200
    assert outcomes(sqlite_url)[0] == "answered"
    assert "Traceback" not in server.log()


def test_a_second_signal_ends_the_process_and_another_one_takes_over_at_once(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    leader = servers.start(sqlite_url, **PATIENT)
    waiter = servers.start(sqlite_url, **PATIENT)

    with under_way(question(leader, SLOW_ONCE)):
        until(lambda: len(stub.calls()) == 1)
        with under_way(question(waiter, SLOW_ONCE, user="wim")) as replies:
            leader.terminate()
            until(lambda: get(leader, "/ready").status == 503)
            leader.terminate()
            code = leader.wait()
            reply = replies()[0]

    assert code == -signal.SIGTERM
    assert reply.status == 200
    assert [row["id"] for row in history(waiter, "wim")] == [reply.json["id"]]
    assert outcomes(sqlite_url) == ["unknown", "answered"]
