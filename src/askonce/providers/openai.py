"""OpenAI's models, through the Responses API of its SDK: what it sends and how it fails."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from askonce.core.answers import Answer, Delta, Finished, FinishReason, storable
from askonce.core.clock import Clock, Deadline
from askonce.core.conversations import Role, Spoken
from askonce.core.errors import (
    InputTooLongError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.questions import Question
from askonce.providers.clients import Clients
from askonce.providers.failures import ODD_ANSWER, by_status, cut, empty, malformed, on_the_wire
from askonce.providers.prices import Prices
from askonce.providers.retry_after import retry_after
from askonce.providers.schemas import is_strict
from askonce.providers.wire import each_until, timeouts, until

if TYPE_CHECKING:
    import openai
    from openai.types.responses import Response

NAME: Final = "openai"
OFFICIAL_URL: Final = "https://api.openai.com/v1"

_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_PIECES: Final = frozenset({"response.output_text.delta", "response.refusal.delta"})
# The second is llama.cpp's, which speaks the same API.
TOO_LONG_CODES: Final = frozenset({"context_length_exceeded", "exceed_context_size_error"})
_QUOTA: Final = "insufficient_quota"
_RATE_LIMIT: Final = "rate_limit_exceeded"
_SERVER_ERROR: Final = "server_error"


class OpenAIProvider:
    """OpenAI's Responses API."""

    name: str = NAME

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str | None,
        timeout: float,
        prices: Prices,
    ) -> None:
        self._api_key = api_key
        self._base_url = (base_url or OFFICIAL_URL).rstrip("/")
        self._timeout = timeout
        self._prices = prices
        self._clients: Clients[openai.OpenAI] = Clients(self._prepare)

    def warm(self) -> None:
        """Import the SDK and build a client, so that the first question need not wait for it."""
        with self._clients.lent() as client:
            _ = client.responses
        self._prices.warm()

    def look_up(self, model: str, deadline: Deadline) -> None:
        """Ask whether our key and a model are good, which costs nothing.

        Raises:
            ProviderError: they are not, or nobody answers; a gateway may not know that question.
        """
        limit = deadline.no_later_than(self._timeout)
        with own_errors(deadline.clock), self._clients.lent() as client, until(limit):
            client.models.retrieve(model, timeout=timeouts(limit))

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._clients.close()

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        limit = deadline.no_later_than(self._timeout)
        with (
            own_errors(deadline.clock),
            self._clients.lent() as client,
            until(limit, max_output_tokens=question.max_output_tokens),
        ):
            response: object = client.responses.create(
                **request_of(question), timeout=timeouts(limit)
            )
            return self._answer(question, deadline.clock, response)

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        limit = deadline.no_later_than(self._timeout)
        pieces: list[str] = []
        with own_errors(deadline.clock, pieces), self._clients.lent() as client:
            with until(limit, max_output_tokens=question.max_output_tokens):
                events = client.responses.create(
                    **request_of(question), stream=True, timeout=timeouts(limit)
                )
            with events:
                if "text/event-stream" not in events.response.headers.get("content-type", ""):
                    raise malformed(NAME)
                for event in each_until(limit, iter(events)):
                    if event.type in _PIECES:
                        pieces.append(storable(event.delta))
                        yield Delta(pieces[-1])
                    elif event.type in _ENDS:
                        yield Finished(
                            self._answer(
                                question, deadline.clock, event.response, streamed="".join(pieces)
                            )
                        )
                        return
                    elif event.type == "error":
                        raise _by_code(event.code, is_paid=bool(pieces))
            # The SDK ends its loop in silence when a server breaks off politely.
            raise cut(NAME)

    def _prepare(self) -> "Callable[[], openai.OpenAI]":
        import httpx2
        import openai

        from askonce.providers.http_client import bounded_client

        # Its debug log holds questions and answers, whatever level the root logger has.
        logging.getLogger("openai").setLevel(logging.WARNING)
        tls = httpx2.create_ssl_context()
        return lambda: openai.OpenAI(
            api_key=self._api_key,
            base_url=self._base_url,
            timeout=self._timeout,
            max_retries=0,
            http_client=bounded_client(openai.DefaultHttpxClient, tls),
        )

    def _answer(
        self, question: Question, clock: Clock, response: object, streamed: str = ""
    ) -> Answer:
        from openai.types.responses import Response

        if not isinstance(response, Response):
            raise malformed(NAME)
        text, is_refusal = _read(response)
        tokens_out = _count(response.usage, "output_tokens")
        finish_reason = _finish_reason(
            response, is_refusal=is_refusal, is_full=tokens_out >= question.max_output_tokens
        )
        text = streamed or text
        if finish_reason is FinishReason.STOP and not text.strip():
            raise empty(NAME)
        tokens_in = _count(response.usage, "input_tokens")
        cost = None
        if response.usage is not None:
            details = response.usage.input_tokens_details
            cost = self._prices.cost(
                NAME,
                question.model,
                tokens_in,
                tokens_out,
                _count(details, "cached_tokens"),
                _count(details, "cache_write_tokens"),
                clock.now(),
            )
        return Answer(
            text=storable(text),
            provider=NAME,
            model=question.model,
            finish_reason=finish_reason,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cost=cost,
        )


def response_of(body: Any) -> object:
    """Return a response that came in a file as the SDK would have given it."""
    from openai.types.responses import Response

    return Response.construct(**body) if isinstance(body, dict) else body


def request_of(question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": question.model,
        "input": _input(question),
        "max_output_tokens": question.max_output_tokens,
        # Else OpenAI keeps question and answer for a month.
        "store": False,
    }
    if question.instructions:
        request["instructions"] = question.instructions
    schema = question.schema()
    if schema is not None:
        request["text"] = {
            "format": {
                "type": "json_schema",
                "name": "answer",
                "schema": schema,
                "strict": is_strict(schema),
            }
        }
    return request


def _input(question: Question) -> str | list[dict[str, str]]:
    if question.messages is None:
        return question.text
    said = (*question.messages, Spoken(Role.USER, question.text))
    # Without its type llama.cpp, which speaks the same API, does not know an assistant's message.
    return [{"type": "message", "role": one.role.value, "content": one.content} for one in said]


def _read(response: "Response") -> tuple[str, bool]:
    """Return the text of a response, refusals included, and whether it refuses."""
    parts = [
        part for item in response.output or () if item.type == "message" for part in item.content
    ]
    refusals = [part.refusal for part in parts if part.type == "refusal"]
    texts = [part.text for part in parts if part.type == "output_text"]
    return "".join([*texts, *refusals]), bool(refusals)


def _finish_reason(response: "Response", *, is_refusal: bool, is_full: bool) -> FinishReason:
    if response.status == "completed":
        if is_refusal:
            return FinishReason.REFUSAL
        # llama.cpp says "completed" of an answer that it cut at the limit.
        return FinishReason.LENGTH if is_full else FinishReason.STOP
    if response.status == "incomplete" and response.incomplete_details is not None:
        if response.incomplete_details.reason == "max_output_tokens":
            return FinishReason.LENGTH
        if response.incomplete_details.reason == "content_filter":
            return FinishReason.REFUSAL
    if response.status == "failed" and response.error is not None:
        raise _by_code(response.error.code, is_paid=True)
    raise malformed(NAME)


def _count(told: object, field: str) -> int:
    count = getattr(told, field, None)
    return count if isinstance(count, int) and count >= 0 else 0


@contextmanager
def own_errors(clock: Clock, delivered: list[str] | None = None) -> Iterator[None]:
    """Let only our errors out. `delivered` holds the pieces of a stream that were paid for."""
    import httpx2
    import openai

    try:
        yield
    except openai.APIConnectionError as error:
        raise on_the_wire(NAME, error.__cause__) from error
    except openai.APIStatusError as error:
        raise _by_status(error, clock) from error
    except openai.APIResponseValidationError as error:
        raise malformed(NAME) from error
    except openai.APIError as error:
        raise _by_code(error.code or error.type, is_paid=bool(delivered)) from error
    except (httpx2.RequestError, httpx2.StreamError, UnicodeEncodeError) as error:
        raise on_the_wire(NAME, error) from error
    except (openai.OpenAIError, *ODD_ANSWER) as error:
        raise malformed(NAME) from error


def _by_status(error: "openai.APIStatusError", clock: Clock) -> ProviderError:
    told = {error.code, error.type}
    if told & TOO_LONG_CODES:
        return InputTooLongError(NAME, "input-too-long")
    if error.status_code == HTTPStatus.TOO_MANY_REQUESTS and _QUOTA in told:
        return ProviderRejectedError(NAME, "quota")
    return by_status(NAME, error.status_code, retry_after(error.response.headers, clock.now()))


def _by_code(code: str | None, *, is_paid: bool) -> ProviderError:
    """Return the error for a code that came inside a 200."""
    if code == _RATE_LIMIT:
        return ProviderUnavailableError(NAME, "rate-limited")
    if code == _SERVER_ERROR or code is None:
        return ProviderUnavailableError(NAME, "server-error", may_be_paid=is_paid)
    if code in TOO_LONG_CODES:
        return InputTooLongError(NAME, "input-too-long")
    return ProviderRejectedError(NAME, "quota" if code == _QUOTA else "refused")
