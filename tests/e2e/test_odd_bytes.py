"""Whatever bytes come in: a clear answer goes out, and never what was to be analysed."""

import gzip
import json
from collections.abc import Iterator

import pytest

from tests.databases import SqliteTemplates
from tests.e2e.asking import raw
from tests.serving import Server, Servers
from tests.stub.client import StubProvider

SECRET = "Der Patient heisst Zwiebelmaier"
GOOD = json.dumps({"text": SECRET}).encode()
TEN_MEGABYTES = json.dumps({"text": SECRET * 340_000}).encode()
JSON = "content-type: application/json"
DEEP = b'{"text": "%s", "x": ' % SECRET.encode()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    running_stub: StubProvider,
    sqlite_templates: SqliteTemplates,
) -> Iterator[Server]:
    servers = Servers(tmp_path_factory.mktemp("odd") / "servers", running_stub)
    yield servers.start(sqlite_templates.copy())
    servers.stop()


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    """Return a request as it is sent; `line` is method and path."""
    length = [f"content-length: {len(body)}"] if body else []
    lines = [f"{line} HTTP/1.1", "host: localhost", *length, *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def post(body: bytes, *headers: str) -> bytes:
    return request("POST /analyze/ann", *(headers or [JSON]), body=body)


def chunked(body: bytes) -> bytes:
    head = request("POST /analyze/ann", JSON, "transfer-encoding: chunked")
    return head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "problem"),
    [
        pytest.param(post(TEN_MEGABYTES), 413, "too-large", id="10 MB"),
        pytest.param(chunked(TEN_MEGABYTES), 413, "too-large", id="10 MB, chunked"),
        pytest.param(post(GOOD[:-2]), 400, "malformed-request", id="JSON cut"),
        pytest.param(post(GOOD + GOOD), 400, "malformed-request", id="JSON twice"),
        pytest.param(post(b""), 400, "malformed-request", id="nothing"),
        pytest.param(post(b"\xff" + GOOD), 400, "malformed-request", id="not UTF-8"),
        pytest.param(post(GOOD.decode().encode("utf-16")), 400, "malformed-request", id="UTF-16"),
        pytest.param(post(DEEP + b"[" * 500_000), 400, "malformed-request", id="deep"),
        pytest.param(post(DEEP + b"9" * 9_000 + b"}"), 400, "malformed-request", id="number"),
        pytest.param(post(b"{}"), 422, "validation", id="empty object"),
        pytest.param(post(b"[%s]" % GOOD), 422, "validation", id="list"),
        pytest.param(post(DEEP + b"1}"), 422, "validation", id="unknown field"),
        pytest.param(post(b'{"text": NaN}'), 422, "validation", id="NaN"),
        pytest.param(post(b'{"text": "%s\\u0000"}' % SECRET.encode()), 422, "validation", id="NUL"),
        pytest.param(
            post(b'{"text": "%s\\ud800"}' % SECRET.encode()), 422, "validation", id="surrogate"
        ),
        pytest.param(
            post(b'{"text": "%s", "instructions": "\\udfff"}' % SECRET.encode()),
            422,
            "validation",
            id="surrogate in the instructions",
        ),
        pytest.param(
            post(GOOD, "content-type: text/plain"), 415, "unsupported-media-type", id="text"
        ),
        pytest.param(post(GOOD, "x-a: b"), 415, "unsupported-media-type", id="no type"),
        pytest.param(
            post(gzip.compress(GOOD), JSON, "content-encoding: gzip"),
            415,
            "unsupported-media-type",
            id="gzip",
        ),
        pytest.param(
            post(GOOD, JSON, "cache-control: max-age=soon"), 400, "malformed-request", id="max-age"
        ),
        pytest.param(request("GET /history/ann/1" + "0" * 30), 404, "not-found", id="id of 10^30"),
        pytest.param(request("DELETE /history/1" + "0" * 30), 404, "not-found", id="delete 10^30"),
        pytest.param(request("DELETE /history/-1"), 404, "not-found", id="delete -1"),
        pytest.param(request("GET /history/%00"), 422, "validation", id="user NUL"),
        pytest.param(request("GET /history/%ff%fe"), 422, "validation", id="user not UTF-8"),
        pytest.param(
            request("GET /history/ann?cursor=%00"), 400, "malformed-request", id="odd cursor"
        ),
        pytest.param(request("GET /nowhere"), 404, "not-found", id="unknown route"),
        pytest.param(
            request("POST /analyze/ann/", JSON, body=GOOD), 404, "not-found", id="slash at the end"
        ),
        pytest.param(request("PATCH /analyze/ann"), 405, "method-not-allowed", id="PATCH"),
        pytest.param(request("OPTIONS /analyze/ann"), 405, "method-not-allowed", id="OPTIONS"),
        pytest.param(request("TRACE /health"), 405, "method-not-allowed", id="TRACE"),
    ],
)
def test_what_cannot_be_served_is_a_problem_that_repeats_nothing(
    server: Server, sent: bytes, status: int, problem: str
) -> None:
    reply = raw(server, sent)

    assert (reply.status, reply.problem) == (status, problem)
    assert reply.headers["x-request-id"] == reply.json["request_id"]
    assert SECRET.encode() not in reply.body
    assert SECRET not in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01 " + GOOD + b"\r\n\r\n", id="TLS"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(request("BREW /analyze/ann", JSON, body=GOOD), id="unknown method"),
        pytest.param(request("GET /health", "no colon"), id="no header"),
        pytest.param(request("POST /analyze/ann", "content-length: -5"), id="length below zero"),
        pytest.param(request("POST /analyze/ann", "content-length: 1" + "0" * 30), id="length"),
        pytest.param(
            request("POST /analyze/ann", "content-length: 3", "transfer-encoding: chunked"),
            id="two lengths",
        ),
    ],
)
def test_what_is_no_request_is_refused_too(server: Server, sent: bytes) -> None:
    reply = raw(server, sent)

    assert reply.status == 400
    assert SECRET.encode() not in reply.body
    assert SECRET not in server.log()


def test_the_answer_to_head_has_no_body(server: Server) -> None:
    reply = raw(server, request("HEAD /health"))

    assert reply.status == 405
    assert reply.body == b""
    assert "x-request-id" in reply.headers


@pytest.mark.parametrize("given", ["evil\tid", "x" * 129, "<script>", "\xff"])
def test_an_insane_request_id_is_replaced(server: Server, given: str) -> None:
    reply = raw(server, request("GET /health", f"x-request-id: {given}"))

    assert reply.status == 200
    assert reply.headers["x-request-id"] != given
    assert len(reply.headers["x-request-id"]) == 32


def test_a_sane_request_id_comes_back(server: Server) -> None:
    reply = raw(server, request("GET /health", "x-request-id: order-66"))

    assert reply.headers["x-request-id"] == "order-66"


def test_after_all_that_it_still_answers(server: Server) -> None:
    reply = raw(server, post(GOOD))

    assert reply.status == 200
    assert reply.json["finish_reason"] == "stop"
