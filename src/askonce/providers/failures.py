"""Say in our own words how a call failed, the same for every vendor."""

from http import HTTPStatus
from typing import Final

from askonce.core.errors import (
    InputTooLongError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)

# Vendors do not bill a request that they answer with an error status, 408 and 504 included.
WORTH_ANOTHER_TRY: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})

# What SDKs let out when a 200 holds something else than they expect; they only check for JSON.
ODD_ANSWER: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def malformed(provider: str) -> ProviderUnavailableError:
    """Return the error for a 200 that is no answer."""
    return ProviderUnavailableError(provider, "malformed", may_be_paid=True)


def empty(provider: str) -> ProviderUnavailableError:
    """Return the error for an answer without a word in it."""
    return ProviderUnavailableError(provider, "empty", may_be_paid=True)


def cut(provider: str) -> ProviderUnavailableError:
    """Return the error for an answer that broke off before its end."""
    return ProviderUnavailableError(provider, "cut", may_be_paid=True)


def by_status(provider: str, status: int, retry_after: float | None) -> ProviderError:
    """Return the error that an HTTP status means."""
    reason = f"http-{status}"
    if status in WORTH_ANOTHER_TRY:
        return ProviderUnavailableError(provider, reason, retry_after=retry_after)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return InputTooLongError(provider, "input-too-long")
    return ProviderRejectedError(provider, reason)


def on_the_wire(provider: str, error: BaseException | None) -> ProviderError:
    """Return the error that a broken exchange means; `error` is httpx2's own."""
    import httpx2

    match error:
        case (
            httpx2.ConnectError()
            | httpx2.ConnectTimeout()
            | httpx2.PoolTimeout()
            | httpx2.ProxyError()
        ):
            return ProviderUnavailableError(provider, "connect")
        case httpx2.WriteTimeout():
            # The provider never had the whole request, so it cannot have worked on it.
            return ProviderUnavailableError(provider, "timeout")
        case httpx2.TimeoutException():
            return ProviderUnavailableError(provider, "timeout", may_be_paid=True)
        case httpx2.LocalProtocolError() | httpx2.UnsupportedProtocol() | UnicodeEncodeError():
            return ProviderRejectedError(provider, "request")
        case httpx2.DecodingError():
            return malformed(provider)
        case _:
            # An idle connection that the server closed just now looks the same as a broken call.
            return cut(provider)


def may_have_arrived(error: ProviderUnavailableError) -> ProviderUnavailableError:
    """Return the failure of a request that makes something which costs money once it is there.

    A request that was refused for its rate, or never went out, has made nothing. After anything
    else it may have, whatever the status says.
    """
    is_certain = error.reason in {"connect", f"http-{HTTPStatus.TOO_MANY_REQUESTS}"}
    return ProviderUnavailableError(
        error.provider, error.reason, retry_after=error.retry_after, may_be_paid=not is_certain
    )
