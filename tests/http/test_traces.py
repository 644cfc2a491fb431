"""Traces of the running application, with the real OpenTelemetry SDK and a real provider's SDK."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import SecretStr

from askonce.config import Settings
from askonce.core.clock import SystemClock
from askonce.main.process import build
from askonce.telemetry import traces
from askonce.telemetry.otlp import Tracing
from tests.stub.client import StubProvider
from tests.stub.fixtures import running_stub, stub

__all__ = ["running_stub", "stub"]

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


class Traced:
    """An application whose traces are kept."""

    def __init__(self, client: TestClient, tracing: Tracing, kept: InMemorySpanExporter) -> None:
        self.client = client
        self._tracing = tracing
        self._kept = kept

    def spans(self) -> list[ReadableSpan]:
        self._tracing.flush()
        return list(self._kept.get_finished_spans())


@contextmanager
def traced(database_url: str, stub: StubProvider) -> Iterator[Traced]:
    settings = Settings(
        _env_file=None,
        database_url=database_url,
        openai_api_key=SecretStr("stub"),
        openai_base_url=stub.openai_url,
        provider="openai",
        max_tries=2,
    )
    kept = InMemorySpanExporter()
    tracing = Tracing(kept)
    app, _ = build(settings, providers=None, clock=SystemClock())
    with TestClient(app, base_url="http://localhost") as client:
        traces.trace_with(tracing)
        yield Traced(client, tracing, kept)


@pytest.fixture
def application(sqlite_url: str, stub: StubProvider) -> Iterator[Traced]:
    with traced(sqlite_url, stub) as application:
        yield application


def named(spans: list[ReadableSpan], name: str) -> ReadableSpan:
    (found,) = [span for span in spans if span.name == name]
    return found


def test_a_question_is_one_trace_from_its_caller_to_the_provider(
    application: Traced, stub: StubProvider
) -> None:
    question = {"text": "What is secret? [[503 times=1]]"}
    application.client.post("/analyze/ann", json=question, headers=TRACEPARENT)
    spans = application.spans()

    request = named(spans, "POST /analyze/{user_id}")
    failed, answered = [span for span in spans if span.name == "chat gpt-6-luna"]
    assert {format(span.context.trace_id, "032x") for span in spans} == {TRACE}
    assert request.parent is not None
    assert format(request.parent.span_id, "016x") == PARENT
    assert {
        span.name
        for span in spans
        if span.parent and span.parent.span_id == request.context.span_id
    } >= {
        "recall",
        "claim",
        "chat gpt-6-luna",
        "keep",
    }
    assert failed.attributes is not None
    assert answered.attributes is not None
    assert failed.attributes["error.type"] == "http-503"
    told = dict(answered.attributes)
    assert told.pop("gen_ai.usage.input_tokens")
    assert told.pop("gen_ai.usage.output_tokens")
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-6-luna",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.response.model": "gpt-6-luna",
        "gen_ai.response.finish_reasons": ("stop",),
    }
    sent = [call["headers"]["traceparent"] for call in stub.calls()]
    assert sent == [f"00-{TRACE}-{span.context.span_id:016x}-01" for span in (failed, answered)]


def test_hits_streams_and_turns_are_traced_and_no_span_says_what_was_said(
    application: Traced,
) -> None:
    client = application.client
    for _ in range(2):
        client.post("/analyze/somebody", json={"text": "What is secret?"})
    stream = {"Accept": "text/event-stream"}
    client.post("/analyze/somebody", json={"text": "A secret stream"}, headers=stream)
    session = client.post("/sessions", json={"title": "secret", "user_id": "somebody"}).json()
    path = f"/sessions/{session['id']}/messages"
    client.post(path, json={"role": "user", "content": "What is secret?"}, headers=TRACEPARENT)
    spans = application.spans()

    chats = [span for span in spans if span.name == "chat gpt-6-luna"]
    assert len(chats) == 3
    assert format(chats[-1].context.trace_id, "032x") == TRACE
    everything = " ".join(span.to_json() for span in spans)
    assert "secret" not in everything
    assert "somebody" not in everything
    assert len([span for span in spans if span.name == "POST /analyze/{user_id}"]) == 3


def test_a_wrong_traceparent_begins_a_trace_of_our_own(application: Traced) -> None:
    wrong = {"traceparent": f"00-{TRACE}-{'0' * 16}-01"}

    assert (
        application.client.post("/analyze/ann", json={"text": "Hm?"}, headers=wrong).status_code
        == 200
    )

    assert all(format(span.context.trace_id, "032x") != TRACE for span in application.spans())


def test_without_traces_nothing_of_them_is_imported() -> None:
    code = (
        "import sys, askonce.main.process;"
        " print([m for m in sys.modules if 'opentelemetry.sdk' in m])"
    )

    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert said.stdout.strip() == "[]"


def test_traces_without_the_extra_stop_the_start_with_one_line() -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from askonce.telemetry import traces\n"
        "traces.begin('http://127.0.0.1:9')"
    )

    said = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert said.stderr.strip().endswith(
        "ConfigurationError: ASKONCE_TRACES: traces need an extra; pip install 'askonce[otel]'"
    )
