"""What a server's log says of requests, and what it never says."""

import hashlib
import json
from typing import Any

from tests.e2e.asking import Call, at_once, get, question
from tests.serving import Server, Servers, until

SALT = "a salt of nobody's"


def lines(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log().splitlines()]


def test_one_line_tells_of_each_request_and_none_what_was_said(
    servers: Servers, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_LOG_SALT=SALT, ASKONCE_MAX_TRIES=1)
    asked = [
        question(server, "What is secret?", "somebody"),
        question(server, "What is secret?", "somebody"),
        question(server, "What fails? [[400]]", "somebody"),
        Call(port=server.port, method="GET", path="/history/somebody"),
        Call(port=server.port, method="GET", path="/nowhere/secret"),
        Call(
            port=server.port,
            path="/analyze/somebody",
            body=b'{"text": "A secret stream"}',
            headers={"accept": "text/event-stream"},
        ),
    ]
    ids = [at_once([call])[0].headers["x-request-id"] for call in asked]
    until(lambda: ids[-1] in server.log())
    told = {line["request_id"]: line for line in lines(server) if line["event"] == "request_served"}
    miss, hit, failed, read, unknown, stream = (told[request_id] for request_id in ids)

    user = hashlib.blake2b(b"default\0somebody", digest_size=8, key=SALT.encode()).hexdigest()
    assert {one.get("user") for one in (miss, hit, failed, read, stream)} == {user}
    assert {one.get("tenant") for one in (miss, hit, failed, read, stream)} == {"default"}
    assert [one["status"] for one in (miss, hit, failed, read, unknown, stream)] == [
        200,
        200,
        502,
        200,
        404,
        200,
    ]
    assert [one.get("way") for one in (miss, hit, failed, stream)] == ["miss", "hit", None, "miss"]
    assert [one.get("cached") for one in (miss, hit, stream)] == [False, True, False]
    for one in (miss, hit, stream):
        assert (one["provider"], one["model"]) == ("openai", "gpt-6-luna")
        assert one["tokens_in"] > 0
        assert one["tokens_out"] > 0
    assert miss["ms"] >= miss["ms_provider"] > 0
    assert {"ms_queue", "ms_ledger"} <= miss.keys()
    assert hit["ms"] >= hit["ms_ledger"] > 0
    assert (failed["problem"], unknown["problem"]) == ("provider-rejected", "not-found")
    assert unknown["route"] is None
    (gave_up,) = [line for line in lines(server) if line["event"] == "provider_gave_up"]
    assert gave_up["request_id"] == ids[2]
    for word in ("secret", "somebody", "What fails"):
        assert word not in server.log()


def test_everything_in_the_log_is_json_and_text_where_that_is_wanted(
    servers: Servers, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_LOG_LEVEL="DEBUG")
    plain = servers.start(sqlite_url, ASKONCE_LOG_FORMAT="text")

    get(plain, "/health")
    for one in (server, plain):
        one.terminate()
        one.wait()

    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines(server))
    assert any(line.get("logger") == "uvicorn.error" for line in lines(server))
    assert "request_served" in plain.log()
    assert not any(line.startswith("{") for line in plain.log().splitlines())
