"""Traces by OpenTelemetry, where somebody wants them. Off, nothing of it is even imported.

No attribute ever holds what was asked or answered, or who asked.
"""

import contextvars
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from askonce.core.errors import ConfigurationError
from askonce.telemetry.spans import Headers, Span

if TYPE_CHECKING:
    from askonce.telemetry.otlp import Tracing

F = TypeVar("F", bound=Callable[..., Any])


_NOTHING: Final = Span()


class _Now:
    tracing: "Tracing | None" = None


def begin(endpoint: str | None) -> None:
    """Send traces from now on, by OTLP over HTTP, to `endpoint` or where OTEL_… says.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    try:
        from askonce.telemetry.otlp import Tracing, exporter
    except ModuleNotFoundError:
        message = "ASKONCE_TRACES: traces need an extra; pip install 'askonce[otel]'"
        raise ConfigurationError(message) from None
    trace_with(Tracing(exporter(endpoint)))


def trace_with(tracing: "Tracing") -> None:
    """Tell all that happens in this process to `tracing` from now on."""
    drain()
    _Now.tracing = tracing


def drain() -> None:
    """Send what waits to be sent, and trace no more."""
    tracing, _Now.tracing = _Now.tracing, None
    if tracing is not None:
        tracing.close()


def step(name: str) -> AbstractContextManager[Span]:
    """Trace a block as a step of what is being done here."""
    return _NOTHING if _Now.tracing is None else _Now.tracing.step(name)


def serving(method: str, headers: Headers) -> AbstractContextManager[Span]:
    """Trace a block as the answer to a request, in the caller's trace where it names one."""
    return _NOTHING if _Now.tracing is None else _Now.tracing.serving(method, headers)


def calling(provider: str, model: str, most_tokens: int) -> AbstractContextManager[Span]:
    """Trace a block as one call of a provider."""
    return _NOTHING if _Now.tracing is None else _Now.tracing.calling(provider, model, most_tokens)


def outgoing() -> Mapping[str, str]:
    """Return the headers by which whoever is called can go on with this trace."""
    return {} if _Now.tracing is None else _Now.tracing.outgoing()


def current_id() -> str | None:
    """Return the id of the trace that is being made here, as 32 hexadecimal digits."""
    return None if _Now.tracing is None else _Now.tracing.current_id()


def here() -> Callable[[F], F]:
    """Return what makes a step part of what is traced here, in whatever thread it runs."""
    if _Now.tracing is None:
        return _as_it_is
    context = contextvars.copy_context()

    def carried(step: Any) -> Any:
        # A copy each: two threads cannot be in one context at a time.
        return lambda *args: context.copy().run(step, *args)

    return carried


def _as_it_is(step: F) -> F:
    return step
