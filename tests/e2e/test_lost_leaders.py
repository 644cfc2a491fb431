"""Leaders that die, freeze or are merely slow, with others waiting for their answers."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.e2e.asking import Reply, analyze, history, question, under_way
from tests.e2e.records import attempts, outcomes
from tests.serving import Server, Servers, until
from tests.stub.client import StubProvider

# The first call for it goes on for longer than anybody waits here, the second one takes no time.
SLOW_ONCE = "Who answers this? [[held=start times=1]]"
SLOW_ALWAYS = "Who survives this? [[held=start]]"
# Longer than a lively lease with its grace.
SLOW_AND_SURE = "Who has patience? [[slow=4]]"

# Who is not heard of for 2.25 s is replaced: long enough for a machine that stalls.
LIVELY = {"ASKONCE_HEARTBEAT": 0.5, "ASKONCE_LEASE": 1}
# Nobody waits for such a lease to end. And a process that is frozen while it beats would keep its
# place as SQLite's one writer.
SILENT = {"ASKONCE_HEARTBEAT": 1800, "ASKONCE_LEASE": 3600}

Replies = Callable[[], list[Reply]]


@contextmanager
def led_and_waited_for(
    leader: Server, waiter: Server, text: str, stub: StubProvider
) -> Iterator[tuple[Replies, Replies]]:
    """Have `text` asked at both, the leader's call being under way; gives the replies of each."""
    calls = len(stub.calls())
    with under_way(question(leader, text, user="lea")) as leaders:
        until(lambda: len(stub.calls()) == calls + 1)
        with under_way(question(waiter, text, user="wim")) as waiters:
            time.sleep(0.3)
            yield leaders, waiters


def test_a_waiter_takes_over_from_a_killed_leader(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    leader = servers.start(database_url, **SILENT)
    waiter = servers.start(database_url, **SILENT)
    before = [analyze(server, f"Asked at {server.port}").json for server in (leader, waiter)]

    with led_and_waited_for(leader, waiter, SLOW_ONCE, stub) as (_, replies):
        leader.kill()
        until(lambda: len(stub.calls()) == 4)
        reply = replies()[0]

    assert (reply.status, reply.json["cached"]) == (200, False)
    assert [row["id"] for row in history(waiter, "wim")] == [reply.json["id"]]
    assert [row["id"] for row in history(waiter)] == [row["id"] for row in reversed(before)]
    assert [(attempt.outcome, attempt.reason) for attempt in attempts(database_url)[2:]] == [
        ("unknown", "process died"),
        ("answered", None),
    ]


def test_who_comes_after_a_killed_leader_takes_over_too(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    leader, later = servers.start(sqlite_url, **SILENT), servers.start(sqlite_url, **SILENT)

    with under_way(question(leader, SLOW_ONCE)):
        until(lambda: len(stub.calls()) == 1)
        leader.kill()
    reply = analyze(later, SLOW_ONCE)

    assert reply.status == 200
    assert outcomes(sqlite_url) == ["unknown", "answered"]


def test_a_question_whose_leader_dies_twice_is_given_up(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    first, second, third = [servers.start(sqlite_url) for _ in range(3)]

    with led_and_waited_for(first, second, SLOW_ALWAYS, stub):
        first.kill()
        until(lambda: len(stub.calls()) == 2)
        # Only now: else this one may be the quicker to take over.
        with under_way(question(third, SLOW_ALWAYS)) as replies:
            second.kill()
            reply = replies()[0]

    assert (reply.status, reply.problem) == (504, "provider-exhausted")
    assert reply.headers["x-should-retry"] == "false"
    assert outcomes(sqlite_url) == ["unknown", "unknown"]
    assert len(stub.calls()) == 2


def test_a_slow_leader_that_lives_is_not_replaced(
    servers: Servers, stub: StubProvider, postgres_url: str
) -> None:
    leader = servers.start(postgres_url, **LIVELY)
    waiter = servers.start(postgres_url, **LIVELY)

    with led_and_waited_for(leader, waiter, SLOW_AND_SURE, stub) as (leaders, waiters):
        led, waited = leaders()[0], waiters()[0]

    assert (led.status, waited.status) == (200, 200)
    assert led.json["result"] == waited.json["result"]
    assert len(stub.calls()) == 1


def test_a_frozen_leader_is_replaced_and_cannot_change_the_answer_that_was_given(
    servers: Servers, stub: StubProvider, database_url: str
) -> None:
    leader = servers.start(database_url, **SILENT)
    waiter = servers.start(database_url, **LIVELY)
    text = "Who wakes up too late? [[held=start times=1]]"

    with led_and_waited_for(leader, waiter, text, stub) as (leaders, waiters):
        leader.freeze()
        given = waiters()[0]
        stub.let_go()
        until(lambda: stub.state()["running"] == 0)
        leader.wake()
        woken = leaders()[0]
    later = analyze(leader, text)

    assert [reply.status for reply in (given, woken, later)] == [200, 200, 200]
    assert {reply.json["result"] for reply in (given, woken, later)} == {given.json["result"]}
    assert [reply.json["cached"] for reply in (given, woken, later)] == [False, True, True]
    assert [row["result"] for row in history(waiter, "wim")] == [given.json["result"]]
    assert outcomes(database_url) == ["duplicate", "answered"]
