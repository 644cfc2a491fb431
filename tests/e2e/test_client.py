"""`from askonce import Client`, beside a real server."""

import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from askonce import Client
from askonce.cli import app
from askonce.client import (
    OddAnswerError,
    Patience,
    Preferences,
    ProblemError,
    UnreachableError,
)
from tests.databases import SqliteTemplates
from tests.e2e.cutting import cut_line
from tests.ports import number_of, reserved_port
from tests.serving import Server, Servers
from tests.stub.client import StubProvider

HASTY = Patience(sleep=lambda _: None)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    running_stub: StubProvider,
    sqlite_templates: SqliteTemplates,
) -> Iterator[Server]:
    servers = Servers(tmp_path_factory.mktemp("client") / "servers", running_stub)
    # Each failure of the provider is the client's: the service itself tries once.
    yield servers.start(sqlite_templates.copy(), ASKONCE_MAX_TRIES=1, ASKONCE_CIRCUIT_FAILURES=1000)
    servers.stop()


@pytest.fixture
def client(server: Server, stub: StubProvider) -> Iterator[Client]:
    del stub
    with Client(f"http://127.0.0.1:{server.port}", patience=HASTY) as client:
        yield client


def test_an_answer_is_a_value_with_exact_money_and_an_aware_moment(client: Client) -> None:
    first = client.analyze("ann", "What is exact?")
    again = client.analyze("ann", "What is exact?")
    assert (first.cached, again.cached) == (False, True)
    assert again.result == first.result
    assert isinstance(first.cost_usd, Decimal)
    assert first.created_at.tzinfo is not None
    assert client.analysis("ann", first.id).text == "What is exact?"


def test_what_the_service_refuses_is_an_error_with_its_fields(client: Client) -> None:
    with pytest.raises(ProblemError) as caught:
        client.analyze("ann", "What?", max_output_tokens=0)
    assert (caught.value.status, caught.value.type) == (422, "validation")
    assert caught.value.errors[0].field == "max_output_tokens"
    assert caught.value.request_id


def test_a_stream_yields_pieces_and_has_the_whole_at_its_end(
    client: Client, stub: StubProvider
) -> None:
    with client.stream("ann", "Stream it. [[held=middle text=piece by piece]]") as stream:
        first = next(iter(stream))
        stub.let_go()
        rest = list(stream)
    assert rest
    assert "".join([first, *rest]) == stream.result.result == "piece by piece"


def test_an_answer_that_was_lost_on_its_way_is_not_bought_twice(
    server: Server, stub: StubProvider
) -> None:
    stub.reset()
    with (
        cut_line(server.port, lambda number, came: number == 1 and b"HTTP/1.1 200" in came) as port,
        Client(f"http://127.0.0.1:{port}", patience=HASTY) as client,
    ):
        # Without the key this would be a second call, as it may neither read nor write the cache.
        analysis = client.analyze("ann", "Lost on its way?", cache_control="no-store")
        assert not analysis.cached
    assert len(stub.calls()) == 1


def test_a_stream_that_breaks_goes_on_where_it_was(server: Server, stub: StubProvider) -> None:
    stub.reset()
    with (
        cut_line(server.port, lambda number, came: number == 1 and b"event: delta" in came) as port,
        Client(f"http://127.0.0.1:{port}", patience=HASTY) as client,
        client.stream("ann", "Broken? [[every=0.05 text=one two three four five six]]") as stream,
    ):
        assert "".join(stream) == "one two three four five six"
        assert stream.result.result == "one two three four five six"
    assert len(stub.calls()) == 1


def test_a_service_that_is_away_is_tried_as_often_as_patience_says() -> None:
    waits: list[float] = []
    patience = Patience(tries=3, sleep=waits.append, spread=lambda: 1.0)
    with (
        reserved_port() as keeper,
        Client(f"http://127.0.0.1:{number_of(keeper)}", patience=patience) as client,
        pytest.raises(UnreachableError),
    ):
        client.health()
    assert waits == [0.5, 1.0]


def test_what_the_service_has_tried_already_is_not_tried_again(
    client: Client, stub: StubProvider
) -> None:
    with pytest.raises(ProblemError) as caught:
        client.analyze("ann", "Fail, please. [[500]]")
    assert caught.value.type == "provider-exhausted"
    assert not caught.value.is_passing
    assert len(stub.calls()) == 1


def test_the_history_is_read_page_by_page_to_its_end(client: Client) -> None:
    for number in range(120):
        client.analyze("reader", "The same each time.", provider="openai")
        del number
    ids = [analysis.id for analysis in client.history("reader")]
    assert len(ids) == 120
    assert ids == sorted(ids, reverse=True)
    client.delete_analysis(ids[0])
    assert next(client.history("reader", cached=True)).id == ids[1]


def test_a_conversation_goes_on_and_is_taken_along(client: Client) -> None:
    session = client.begin_session("Capitals", user_id="ann", instructions="Be brief.")
    said = client.say(session.id, "What is the capital of France?")
    assert [message.role for message in said.messages] == ["user", "assistant"]
    assert said.messages[-1].context is not None
    with client.stream_reply(session.id, "And of Spain?") as stream:
        reply = "".join(stream)
    assert stream.result.messages[-1].content == reply
    assert client.rename_session(session.id, "Europe").title == "Europe"
    assert [message.role for message in client.messages(session.id)] == ["assistant", "user"] * 2
    assert client.summarise(session.id).role == "summary"
    assert session.id in [one.id for one in client.sessions("ann")]
    client.delete_session(session.id)
    with pytest.raises(ProblemError, match="not-found"):
        client.session(session.id)


def test_preferences_are_kept(client: Client) -> None:
    wanted = Preferences(instructions="Answer in French.")
    assert client.set_preferences("bob", wanted) == wanted
    assert client.preferences("bob") == wanted
    client.set_preferences("bob", Preferences())


def test_an_odd_user_id_is_the_users_own_fault(client: Client) -> None:
    with pytest.raises(ProblemError) as caught:
        client.preferences("a/../b?x=1#y")
    assert caught.value.status in {404, 422}


def test_an_answer_says_where_it_came_from_and_how_old_it_is(client: Client) -> None:
    with client.stream("ann", "Where from?") as stream:
        asked = stream.result
    remembered = client.analyze("ann", "Where from?")

    assert (asked.cache_status, asked.age) == ("askonce; fwd=uri-miss", None)
    assert (remembered.cache_status or "").startswith("askonce; hit; ttl=")
    assert remembered.age is not None
    assert next(client.history("ann")).cache_status is None


def test_no_more_of_the_history_is_read_than_is_wanted(client: Client) -> None:
    for _ in range(3):
        client.analyze("short", "The same.")

    assert len(list(client.history("short", limit=2))) == 2


def test_usage_is_what_was_spent_and_what_was_saved(client: Client) -> None:
    for _ in range(2):
        client.analyze("spender", "What did it take?")

    usage = client.usage("spender", since="2026-01-01", group_by="provider")

    assert [item["name"] for item in usage["items"]] == ["openai"]
    assert (usage["total"]["spent"]["calls"], usage["total"]["saved"]["hits"]) == (1, 1)
    assert client.usage("spender", until="2026-01-01")["items"] == []


def test_the_audit_trail_is_read_newest_first_and_by_user(client: Client) -> None:
    for text in ("To be audited.", "To be audited, too."):
        client.analyze("audited", text)

    events = list(client.audit(user_id="audited", action="analyze"))

    assert len(events) == 2
    assert events[0]["id"] > events[1]["id"]
    assert {event["user_id"] for event in events} == {"audited"}


def test_what_is_exported_is_all_and_what_is_erased_is_gone(client: Client) -> None:
    for number in range(3):
        client.analyze("leaver", f"Something of mine, {number}.")
    session = client.begin_session("Mine", user_id="leaver", prompt="Mine, too.")

    exported = list(client.export("leaver"))
    receipt = client.erase("leaver")

    assert all(isinstance(row, dict) for row in exported)
    assert sum("Something of mine" in str(row) for row in exported) == 3
    assert any("Mine, too." in str(row) for row in exported)
    assert "3" in str(receipt)
    assert list(client.history("leaver")) == []
    with pytest.raises(ProblemError, match="not-found"):
        client.session(session.id)


class _Elsewhere(BaseHTTPRequestHandler):
    """Answers everything with 200 and something that is none of askonce's answers."""

    said = b""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", str(len(self.said)))
        self.end_headers()
        self.wfile.write(self.said)

    do_POST = do_GET  # noqa: N815 - as http.server calls it

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.mark.parametrize("said", [b"<html>", b"[1]", b'{"items": [1], "next_cursor": null}', b"{}"])
def test_what_is_not_askonce_is_called_so(said: bytes) -> None:
    elsewhere = HTTPServer(("127.0.0.1", 0), type("_Says", (_Elsewhere,), {"said": said}))
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    asked: list[Callable[[Client], object]] = [
        lambda client: client.analyze("ann", "What?"),
        lambda client: client.analysis("ann", 1),
        lambda client: list(client.history("ann")),
        lambda client: client.session(1),
        lambda client: client.begin_session("What?"),
    ]
    try:
        with Client(f"http://127.0.0.1:{elsewhere.server_port}", patience=HASTY) as client:
            for ask in asked:
                with pytest.raises(OddAnswerError, match="not askonce"):
                    ask(client)
            examined = CliRunner().invoke(
                app, ["doctor", "--url", f"http://127.0.0.1:{elsewhere.server_port}"]
            )
            assert (examined.exit_code, type(examined.exception)) == (1, SystemExit)
    finally:
        elsewhere.shutdown()
        elsewhere.server_close()
