"""Traces of a real server, sent to a collector that listens or does not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue

import pytest

from tests.e2e.asking import at_once, question
from tests.ports import number_of, reserved_port
from tests.serving import Servers


class Collector(ThreadingHTTPServer):
    """Takes traces as an OpenTelemetry collector does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.taken: SimpleQueue[tuple[str, bytes]] = SimpleQueue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Collector)
        self.server.taken.put((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        yield collector
        collector.shutdown()
        thread.join()


def test_a_server_sends_its_traces_before_it_ends(
    servers: Servers, collector: Collector, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)

    at_once([question(server, "What is secret?", "somebody")])
    server.terminate()
    server.wait()
    path, body = collector.taken.get(timeout=60)

    assert path == "/v1/traces"
    assert b"gen_ai.usage.input_tokens" in body
    assert b"secret" not in body
    assert b"somebody" not in body


def test_a_collector_that_is_away_disturbs_nobody(servers: Servers, sqlite_url: str) -> None:
    with reserved_port() as nobody:
        address = f"http://127.0.0.1:{number_of(nobody)}"
        server = servers.start(sqlite_url, OTEL_EXPORTER_OTLP_ENDPOINT=address)

        reply = at_once([question(server, "Who listens?")])[0]
        server.terminate()
        server.wait()

    assert reply.status == 200
    assert json.loads(server.log().splitlines()[0])
    assert "Who listens" not in server.log()
