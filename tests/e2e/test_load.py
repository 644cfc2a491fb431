from tests.e2e.asking import analyze, get, history, question, under_way
from tests.serving import PATIENCE_SECONDS, Servers, until
from tests.stub.client import StubProvider

MANY = 500


def test_many_slow_calls_at_once_all_succeed_and_starve_nobody(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(
        sqlite_url,
        ASKONCE_MAX_CALLS=MANY,
        ASKONCE_PROVIDER_TIMEOUT=PATIENCE_SECONDS,
        ASKONCE_DEADLINE=PATIENCE_SECONDS,
    )
    analyze(server, "What is known already?")
    calls = [question(server, f"Question {number}? [[held=start]]") for number in range(MANY)]

    with under_way(*calls) as replies:
        until(lambda: int(stub.state()["running"]) > MANY // 5)
        hit = analyze(server, "What is known already?", user="bob")
        health = get(server, "/health")
        page = get(server, "/history/ann")
        # All of them run at once: no call waits for another one's end.
        until(lambda: int(stub.state()["running"]) == MANY)
        stub.let_go()
        answered = replies()

    assert {reply.status for reply in answered} == {200}
    assert len({reply.json["result"] for reply in answered}) == MANY
    assert len(history(server)) == MANY + 1
    assert [hit.status, health.status, page.status] == [200, 200, 200]
    assert hit.json["cached"] is True
    assert max(hit.seconds, health.seconds, page.seconds) < 10


def test_what_exceeds_the_queue_is_refused_at_once(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_MAX_CALLS=2, ASKONCE_MAX_QUEUE=2)
    known = analyze(server, "What is known already?")

    with under_way(
        *(question(server, f"Question {number}? [[held=start]]") for number in range(7))
    ) as replies:
        # Two run, two wait, and all others are refused before any of these ends.
        until(lambda: int(stub.state()["running"]) == 2)
        until(lambda: server.log().count('"status": 503') == 3)
        hit = analyze(server, "What is known already?")
        stub.let_go()
        answered = replies()
    refused = [reply for reply in answered if reply.status != 200]

    assert [reply.problem for reply in refused] == ["overloaded"] * 3
    assert [reply.headers["retry-after"] for reply in refused] == ["1"] * 3
    assert (known.status, hit.status) == (200, 200)
    assert stub.max_running() == 2
