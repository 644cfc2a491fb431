"""How traces are made and sent. Only who wants them imports this, and has what it needs.

Names are those of OpenTelemetry's semantic conventions: for HTTP (stable), and for generative AI
(in development; as of version 1.41).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from askonce import __version__
from askonce.core.answers import Answer
from askonce.core.errors import ProviderError
from askonce.telemetry.spans import Facts, Headers, Span

# As the conventions call who provides a model. Who is not on their list goes by his own name.
_PROVIDERS: Final = {"claude": "anthropic", "local": "llama.cpp"}
_PROPAGATED: Final = (b"traceparent", b"tracestate")
_SERVER_ERROR: Final = 500


def exporter(endpoint: str | None) -> SpanExporter:
    """Return what sends traces; None: where OpenTelemetry's own variables say."""
    if endpoint is None:
        return OTLPSpanExporter()
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")


class Tracing:
    """Makes the spans of this process. It is nobody else's: no library traces into it."""

    def __init__(self, exporter: SpanExporter) -> None:
        # Resource.create lets OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES outrank this.
        named = Resource.create({"service.name": "askonce", "service.version": __version__})
        self._provider = TracerProvider(resource=named)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("askonce", __version__)
        self._propagator = TraceContextTextMapPropagator()

    def close(self) -> None:
        """Send what waits to be sent."""
        self._provider.shutdown()

    def flush(self) -> None:
        """Send what waits to be sent, now."""
        self._provider.force_flush()

    @contextmanager
    def step(self, name: str) -> Iterator[Span]:
        with self._span(name, SpanKind.INTERNAL, {}, None) as span:
            yield span

    @contextmanager
    def serving(self, method: str, headers: Headers) -> Iterator[Span]:
        carrier = {
            name.decode(): value.decode("latin-1") for name, value in headers if name in _PROPAGATED
        }
        context = self._propagator.extract(carrier)
        facts: Facts = {"http.request.method": method}
        with self._span(method, SpanKind.SERVER, facts, context) as span:
            yield span

    @contextmanager
    def calling(self, provider: str, model: str, most_tokens: int) -> Iterator[Span]:
        facts: Facts = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": most_tokens,
        }
        with self._span(f"chat {model}", SpanKind.CLIENT, facts, None) as span:
            yield span

    def outgoing(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier

    def current_id(self) -> str | None:
        context = trace.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else None

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, facts: Facts, context: Context | None
    ) -> Iterator[Span]:
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=kind,
            attributes=facts,
            # Both would write down the message of an exception.
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            span = _RealSpan(made, name)
            try:
                yield span
            except ProviderError as error:
                span.fail(error.reason)
                raise
            except Exception as error:
                span.fail(type(error).__name__)
                raise


class _RealSpan(Span):
    def __init__(self, span: trace.Span, name: str) -> None:
        self._span = span
        self._name = name

    def tell(self, facts: Facts) -> None:
        self._span.set_attributes(facts)

    def answer(self, status: int, route: str | None) -> None:
        self._span.set_attribute("http.response.status_code", status)
        if route is not None:
            self._span.set_attribute("http.route", route)
            self._span.update_name(f"{self._name} {route}")
        if status >= _SERVER_ERROR:
            self.fail(str(status))

    def answered(self, answer: Answer) -> None:
        self.tell(
            {
                "gen_ai.response.model": answer.model,
                "gen_ai.response.finish_reasons": [answer.finish_reason.value],
                "gen_ai.usage.input_tokens": answer.tokens_in,
                "gen_ai.usage.output_tokens": answer.tokens_out,
            }
        )

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))
