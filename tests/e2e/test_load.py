import time

from tests.e2e.asking import analyze, at_once, get, history, question, under_way
from tests.serving import Servers, until
from tests.stub.client import StubProvider

MANY = 500


def test_many_slow_calls_at_once_all_succeed_and_starve_nobody(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_MAX_CALLS=MANY)
    analyze(server, "What is known already?")
    calls = [question(server, f"Question {number}? [[slow=5]]") for number in range(MANY)]

    started = time.monotonic()
    with under_way(*calls) as replies:
        until(lambda: int(stub.state()["running"]) > MANY // 5)
        hit = analyze(server, "What is known already?", user="bob")
        health = get(server, "/health")
        page = get(server, "/history/ann")
        answered = replies()
    took = time.monotonic() - started

    assert {reply.status for reply in answered} == {200}
    assert len({reply.json["result"] for reply in answered}) == MANY
    assert len(history(server)) == MANY + 1
    assert took < 30
    assert [hit.status, health.status, page.status] == [200, 200, 200]
    assert hit.json["cached"] is True
    assert max(hit.seconds, health.seconds, page.seconds) < 2.5


def test_what_exceeds_the_queue_is_refused_at_once(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_MAX_CALLS=2, ASKONCE_MAX_QUEUE=2)
    known = analyze(server, "What is known already?")

    with under_way(
        *(question(server, f"Question {number}? [[slow=1]]") for number in range(4))
    ) as replies:
        until(lambda: int(stub.state()["running"]) == 2)
        refused = at_once([question(server, f"One too many: {number}") for number in range(3)])
        hit = analyze(server, "What is known already?")
        accepted = replies()

    assert [reply.problem for reply in refused] == ["overloaded"] * 3
    assert [reply.headers["retry-after"] for reply in refused] == ["1"] * 3
    assert max(reply.seconds for reply in refused) < 1
    assert (known.status, hit.status) == (200, 200)
    assert {reply.status for reply in accepted} == {200}
    assert stub.max_running() == 2
