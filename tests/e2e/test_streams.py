"""Streams over real sockets: as the provider speaks, and without a thought for who reads."""

import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.asking import Listener, analyze, get, history, question, under_way
from tests.e2e.records import outcomes
from tests.serving import PATIENCE_SECONDS, Server, Servers, until
from tests.stub.client import StubProvider

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen"
# The second half is not said before the test has seen the first one.
SLOW = f"[[held=middle text={WORDS}]]"


@dataclass(frozen=True)
class Event:
    name: str
    data: Any


class Stream:
    """A request for a stream, whose events are read one by one."""

    def __init__(self, server: Listener, text: str, user: str = "ann", **headers: str) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
        accepts = {"content-type": "application/json", "accept": "text/event-stream"}
        body = json.dumps({"text": text})
        self._line.request("POST", f"/analyze/{user}", body, {**accepts, **headers})
        self.response = self._line.getresponse()

    def events(self) -> Iterator[Event]:
        name = ""
        while line := self.response.readline().decode():
            word, _, rest = line.rstrip("\n").partition(": ")
            if word == "event":
                name = rest
            elif word == "data":
                yield Event(name, json.loads(rest))

    def whole(self) -> tuple[str, Event]:
        """Return the text that came piece by piece, and the last event."""
        events = list(self.events())
        self.close()
        return "".join(event.data["text"] for event in events[:-1]), events[-1]

    def close(self) -> None:
        self._line.close()


@pytest.fixture
def server(servers: Servers, stub: StubProvider, sqlite_url: str) -> Server:
    """Return a server that has streamed before: the first stream of a process builds its types."""
    server = servers.start(sqlite_url)
    Stream(server, "Warm up.", user="nobody").whole()
    stub.reset()
    return server


def test_an_answer_comes_piece_by_piece_and_then_as_a_whole(
    server: Server, stub: StubProvider
) -> None:
    stream = Stream(server, f"Tell me slowly. {SLOW}")
    coming = stream.events()

    events = [next(coming)]
    stub.let_go()
    events += coming
    stream.close()

    assert stream.response.headers["Content-Type"].startswith("text/event-stream")
    assert stream.response.headers["Cache-Status"] == "askonce; fwd=uri-miss"
    assert [event.name for event in events] == ["delta"] * (len(events) - 1) + ["done"]
    assert len(events) > 2
    assert "".join(event.data["text"] for event in events[:-1]) == events[-1].data["result"]
    shown = {key: value for key, value in history(server)[0].items() if key != "text"}
    assert events[-1].data == shown


def test_a_hit_streams_too_and_shares_its_entry_with_plain_requests(
    server: Server, stub: StubProvider
) -> None:
    plain = analyze(server, "Known.").json
    text, done = Stream(server, "Known.").whole()
    streamed, first = Stream(server, "Streamed first.").whole()
    after = analyze(server, "Streamed first.").json

    assert (text, done.data["cached"]) == (plain["result"], True)
    assert (after["result"], after["cached"]) == (streamed, True)
    assert first.data["cached"] is False
    assert len(stub.calls()) == 2


def test_whoever_comes_during_a_stream_follows_it_from_its_beginning(
    server: Server, stub: StubProvider
) -> None:
    text = f"Said once. {SLOW}"
    leader = Stream(server, text)
    events = leader.events()
    begun = next(events).data["text"]
    follower = Stream(server, text, user="bob")
    with under_way(question(server, text, user="cat")) as replies:
        stub.let_go()
        followed, done = follower.whole()
        plain = replies()[0].json
    rest = list(events)
    leader.close()

    led = begun + "".join(event.data["text"] for event in rest[:-1])
    assert led == followed == done.data["result"] == plain["result"]
    assert follower.response.headers["Cache-Status"] == "askonce; fwd=uri-miss; collapsed"
    assert len(stub.calls()) == 1


def test_a_reader_who_goes_away_loses_nothing(server: Server, stub: StubProvider) -> None:
    text = f"Going, going. {SLOW}"
    stream = Stream(server, text)
    next(stream.events())
    stream.close()
    stub.let_go()

    until(lambda: len(history(server)) == 1)
    hit = analyze(server, text)

    assert hit.headers["cache-status"].startswith("askonce; hit")
    assert len(stub.calls()) == 1


def test_a_reader_who_does_not_read_holds_nobody_back(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    # So many tokens that an answer may be longer than what a connection holds in between.
    server = servers.start(sqlite_url, ASKONCE_MAX_OUTPUT_TOKENS="1000000")
    stub.will("text=" + "word " * 400_000)
    long = "Go on for ever."
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = question(server, long)
        head = request.sent().replace(
            b"content-type:", b"accept: text/event-stream\r\ncontent-type:"
        )
        line.sendall(head)
        until(lambda: len(stub.calls()) == 1)
        plain = analyze(server, long, user="bob")

    assert plain.status == 200
    assert len(plain.json["result"]) > 1_000_000
    assert get(server, "/health").status == 200
    assert len(stub.calls()) == 1


@pytest.mark.parametrize("fault", ["503", "reset", "429 retry-after=0"])
def test_a_fault_before_the_first_piece_is_not_noticed(
    server: Server, stub: StubProvider, fault: str
) -> None:
    text, done = Stream(server, f"Try again. [[{fault} times=1]]").whole()

    assert (done.name, done.data["result"]) == ("done", text)
    assert len(stub.calls()) == 2


@pytest.mark.parametrize("fault", ["cut", "cut-politely", "error-event"])
def test_a_fault_in_the_middle_is_an_event_and_nothing_is_kept(
    servers: Servers, sqlite_url: str, stub: StubProvider, fault: str
) -> None:
    server = servers.start(sqlite_url)

    text, last = Stream(server, f"Half of it. [[{fault}]]").whole()

    assert text
    assert (last.name, last.data["type"]) == ("error", "provider-exhausted")
    assert last.data["status"] == 504
    assert history(server) == []
    assert len(stub.calls()) == 1
    assert outcomes(sqlite_url) in (["unknown"], ["failed"])


def test_a_refusal_before_anything_is_an_error_event(server: Server) -> None:
    text, last = Stream(server, "No entry. [[401]]").whole()

    assert (text, last.name, last.data["type"]) == ("", "error", "provider-rejected")


@pytest.mark.parametrize(
    ("body", "status"), [(b"{}", 422), (b"not json", 400), (b'{"text": "a", "x": 1}', 422)]
)
def test_what_cannot_be_asked_is_refused_before_a_stream_begins(
    server: Server, body: bytes, status: int
) -> None:
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    headers = {"content-type": "application/json", "accept": "text/event-stream"}
    line.request("POST", "/analyze/ann", body, headers)
    response = line.getresponse()

    assert response.status == status
    assert response.headers["Content-Type"] == "application/problem+json"
    response.read()
    line.close()


def test_the_first_piece_is_passed_on_at_once(server: Server, stub: StubProvider) -> None:
    stream = Stream(server, f"How soon? {SLOW}")

    first = next(stream.events())
    stub.let_go()
    stream.close()

    assert WORDS.startswith(first.data["text"])
    assert first.data["text"] != WORDS
    until(lambda: len(history(server)) == 1)


def test_a_failure_that_nobody_reads_leaves_no_words_in_the_log(
    server: Server, stub: StubProvider
) -> None:
    body = json.dumps({"text": "Who is still there? [[401 held=start]]"}).encode()
    head = (
        "POST /analyze/ann HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(head.encode() + body)
        until(lambda: len(stub.calls()) == 1)
    stub.let_go()
    until(lambda: "provider_gave_up" in server.log())
    get(server, "/health")

    assert "secret words" not in server.log()
    assert "Traceback" not in server.log()
