from collections.abc import Sequence

from tests.e2e.asking import Call, analyze, at_once, history, question
from tests.e2e.records import outcomes
from tests.serving import Server, Servers
from tests.stub.client import StubProvider

CROWD = 200
WHAT_ALL_ASK = "What do all of you want to know? [[slow=0.5]]"


def crowd(*servers: Server) -> list[Call]:
    """Return the same question 200 times, at each server in turn."""
    return [question(server, WHAT_ALL_ASK) for server in servers] * (CROWD // len(servers))


def asked_once(calls: Sequence[Call], server: Server, stub: StubProvider, url: str) -> None:
    replies = at_once(calls)

    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["result"] for reply in replies}) == 1
    assert sorted(reply.json["cached"] for reply in replies) == [False] + [True] * (CROWD - 1)
    assert sorted(reply.json["id"] for reply in replies) == sorted(
        row["id"] for row in history(server)
    )
    assert len(stub.calls()) == 1
    assert outcomes(url) == ["answered"]


def test_a_crowd_at_one_process_makes_one_call(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)

    asked_once(crowd(server), server, stub, sqlite_url)


def test_a_crowd_at_two_workers_makes_one_call(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_WORKERS=2)

    asked_once(crowd(server), server, stub, sqlite_url)


def test_a_crowd_at_two_processes_makes_one_call(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    first, second = servers.start(database_url), servers.start(database_url)

    asked_once(crowd(first, second), first, stub, database_url)


def test_many_who_want_a_new_answer_make_one_call(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)
    text = "What is new?"
    known = analyze(server, text)
    # All have come before the answer does.
    stub.will("slow=3")

    replies = at_once([question(server, text, cache_control="no-cache")] * 20)

    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["result"] for reply in [known, *replies]}) == 2
    assert len(stub.calls()) == 2
