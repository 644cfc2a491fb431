"""Claude, through Anthropic's SDK: what it sends and how it fails, in our words."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from askonce.core.answers import Answer, Delta, Finished, FinishReason, storable
from askonce.core.clock import Clock, Deadline
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
from askonce.providers.schemas import as_instruction, is_closed
from askonce.providers.threads import in_turns
from askonce.providers.wire import each_until, timeouts, until

if TYPE_CHECKING:
    import anthropic

NAME: Final = "claude"
OFFICIAL_URL: Final = "https://api.anthropic.com"

_FINISHED: Final = {
    "end_turn": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "refusal": FinishReason.REFUSAL,
}
# Errors inside a stream have no status of their own: https://docs.anthropic.com/en/api/errors
_IN_STREAM: Final = {
    "api_error": "server-error",
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate-limited",
    "timeout_error": "timeout",
}
_SPEND_LIMITS: Final = frozenset(
    {"contract_spend_limit_reached", "enforced_spend_limit_reached", "ramp_limit_exceeded"}
)
# The API has no code for it, only these words; llama.cpp, which speaks the same API, has a type.
_TOO_LONG_WORDS: Final = ("prompt is too long", "exceed context limit")
_TOO_LONG_TYPE: Final = "exceed_context_size_error"


@dataclass(slots=True)
class _Usage:
    """Tokens of one call, as far as they were told; `is_known` only with both totals."""

    fresh: int | None = None
    written: int = 0
    read: int = 0
    out: int | None = None

    def take(self, told: object) -> None:
        """Take over what a message, or a later event of the same stream, says."""
        self.fresh = _count(told, "input_tokens", self.fresh)
        self.written = _count(told, "cache_creation_input_tokens", self.written) or 0
        self.read = _count(told, "cache_read_input_tokens", self.read) or 0
        self.out = _count(told, "output_tokens", self.out)


class ClaudeProvider:
    """Anthropic's Messages API."""

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
        self._clients: Clients[anthropic.Anthropic] = Clients(self._prepare)

    def warm(self) -> None:
        """Import the SDK and build a client, so that the first question need not wait for it."""
        with self._clients.lent() as client:
            _ = client.messages
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
            message: object = client.messages.create(
                **request_of(question), timeout=timeouts(limit)
            )
            text, stop_reason, usage = read_message(message)
            return self._answer(question, deadline.clock, text, stop_reason, usage)

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        limit = deadline.no_later_than(self._timeout)
        pieces: list[str] = []
        stop_reason: str | None = None
        usage = _Usage()
        with own_errors(deadline.clock, pieces), self._clients.lent() as client:
            with until(limit, max_output_tokens=question.max_output_tokens):
                events = client.messages.create(
                    **request_of(question), stream=True, timeout=timeouts(limit)
                )
            with events:
                if "text/event-stream" not in events.response.headers.get("content-type", ""):
                    raise malformed(NAME)
                for event in each_until(limit, iter(events)):
                    if event.type == "message_start":
                        usage.take(event.message.usage)
                    elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                        pieces.append(storable(event.delta.text))
                        yield Delta(pieces[-1])
                    elif event.type == "message_delta":
                        stop_reason = event.delta.stop_reason
                        usage.take(event.usage)
                    elif event.type == "message_stop" and stop_reason is not None:
                        text = "".join(pieces)
                        yield Finished(
                            self._answer(question, deadline.clock, text, stop_reason, usage)
                        )
                        return
            # The SDK ends its loop in silence when a server breaks off politely.
            raise cut(NAME)

    def _prepare(self) -> "Callable[[], anthropic.Anthropic]":
        import anthropic
        import httpx2

        from askonce.providers.http_client import bounded_client

        # Its debug log holds questions and answers, whatever level the root logger has.
        logging.getLogger("anthropic").setLevel(logging.WARNING)
        tls = httpx2.create_ssl_context()
        return lambda: anthropic.Anthropic(
            api_key=self._api_key,
            base_url=self._base_url,
            timeout=self._timeout,
            max_retries=0,
            # Its spans can be made to hold prompts by an environment variable.
            open_telemetry=False,
            http_client=bounded_client(anthropic.DefaultHttpxClient, tls),
        )

    def _answer(
        self, question: Question, clock: Clock, text: str, stop_reason: object, usage: _Usage
    ) -> Answer:
        finish_reason = _FINISHED.get(str(stop_reason))
        if finish_reason is None:
            raise malformed(NAME)
        if finish_reason is FinishReason.STOP and not text.strip():
            raise empty(NAME)
        tokens_in = (usage.fresh or 0) + usage.written + usage.read
        cost = None
        if usage.fresh is not None and usage.out is not None:
            cost = self._prices.cost(
                NAME, question.model, tokens_in, usage.out, usage.read, usage.written, clock.now()
            )
        return Answer(
            text=storable(text),
            provider=NAME,
            model=question.model,
            finish_reason=finish_reason,
            tokens_in=tokens_in,
            tokens_out=usage.out or 0,
            cost=cost,
        )


def request_of(question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": question.model,
        "max_tokens": question.max_output_tokens,
        "messages": [
            {"role": said.role.value, "content": said.content} for said in in_turns(question)
        ],
    }
    instructions = question.instructions
    schema = question.schema()
    if schema is not None:
        enforced = _enforced(schema)
        if enforced is None:
            instructions = as_instruction(instructions, schema)
        else:
            request["output_config"] = {"format": {"type": "json_schema", "schema": enforced}}
    if instructions:
        request["system"] = instructions
    return request


def _enforced(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema as the API enforces it, None where it cannot."""
    import anthropic

    try:
        if not is_closed(schema):
            return None
        return anthropic.transform_schema(schema)
    except ODD_ANSWER:
        return None


def read_message(message: object) -> tuple[str, object, _Usage]:
    """Return text, stop reason and usage of a message, which may be anything that was JSON."""
    from anthropic.types import Message

    if not isinstance(message, Message):
        raise malformed(NAME)
    # A refusal may come without a single block.
    text = "".join(block.text for block in message.content if block.type == "text")
    usage = _Usage()
    usage.take(message.usage)
    return text, message.stop_reason, usage


def _count(told: object, field: str, known: int | None) -> int | None:
    count = getattr(told, field, None)
    return count if isinstance(count, int) and count >= 0 else known


@contextmanager
def own_errors(clock: Clock, delivered: list[str] | None = None) -> Iterator[None]:
    """Let only our errors out. `delivered` holds the pieces of a stream that were paid for."""
    import anthropic
    import httpx2

    try:
        yield
    except anthropic.APIConnectionError as error:
        raise on_the_wire(NAME, error.__cause__) from error
    except anthropic.APIStatusError as error:
        raise _by_status(error, clock, is_paid=bool(delivered)) from error
    except (httpx2.RequestError, httpx2.StreamError, UnicodeEncodeError) as error:
        raise on_the_wire(NAME, error) from error
    except (anthropic.AnthropicError, *ODD_ANSWER) as error:
        raise malformed(NAME) from error


def _by_status(error: "anthropic.APIStatusError", clock: Clock, *, is_paid: bool) -> ProviderError:
    # The stream's own status, which it was given before the error happened.
    if error.status_code == HTTPStatus.OK:
        reason = _IN_STREAM.get(str(error.type))
        if reason is None:
            return ProviderRejectedError(NAME, "refused")
        return ProviderUnavailableError(NAME, reason, may_be_paid=is_paid)
    if is_too_long(str(error.type), str(error.api_message).lower()):
        return InputTooLongError(NAME, "input-too-long")
    if error.error_code in _SPEND_LIMITS:
        return ProviderRejectedError(NAME, "quota")
    return by_status(NAME, error.status_code, retry_after(error.response.headers, clock.now()))


def is_too_long(kind: str, words: str) -> bool:
    return kind == _TOO_LONG_TYPE or any(known in words for known in _TOO_LONG_WORDS)
