"""What goes wrong between a client and the service."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


class ClientError(Exception):
    """Anything that a call of the client can raise."""


class UnreachableError(ClientError):
    """No answer came, or half of one; every try failed so."""


class OddAnswerError(ClientError):
    """What answers is not askonce, or a version of it that this client does not know."""


class StreamBrokenError(ClientError):
    """A stream ended early, and what came instead of its rest does not continue it."""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field of a request that cannot be used."""

    field: str
    message: str


@dataclass(eq=False)
class ProblemError(ClientError):
    """The service says that it cannot answer (RFC 9457).

    `type` is the name by which its documentation knows the problem, such as `rate-limited`.
    `retry_after` is in seconds; None where the service names no time. `is_passing`: the very same
    request may succeed later, at no risk of paying twice.
    """

    status: int
    type: str
    title: str
    detail: str
    request_id: str | None = None
    errors: Sequence[FieldFault] = field(default=())
    retry_after: float | None = None
    is_passing: bool = False

    def __str__(self) -> str:
        faults = "".join(f"; {fault.field}: {fault.message}" for fault in self.errors)
        return f"{self.status} {self.type}: {self.detail}{faults}"


@contextmanager
def understood() -> Iterator[None]:
    """Read what a service answered.

    Raises:
        OddAnswerError: it has another form than askonce's answers have.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        message = "what answers there is not askonce, or of another version: is the URL right?"
        raise OddAnswerError(message) from error
