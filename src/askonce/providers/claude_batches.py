"""Claude's Message Batches: https://docs.anthropic.com/en/api/creating-message-batches."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from askonce.core.answers import Answer
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import (
    InputTooLongError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.provider_batches import BatchNews, BatchResult, BatchUnsureError, line_id_of
from askonce.core.questions import Question
from askonce.providers.claude import (
    NAME,
    ClaudeProvider,
    is_too_long,
    own_errors,
    read_message,
    request_of,
)
from askonce.providers.failures import malformed, may_have_arrived
from askonce.providers.prices import Prices
from askonce.providers.wire import RESULT_BYTES, each_until, timeouts, until

# Of one exchange: a batch is tens of megabytes long.
_SECONDS: Final = 600.0
_READING_SECONDS: Final = 6 * 3600.0
_PAGE: Final = 100


class ClaudeBatches(ClaudeProvider):
    """What Claude answers within a day. `prices` are those of batches."""

    # Anthropic takes 100 000 requests and 256 MB; a batch is held in memory while it is sent.
    most_lines: int = 10_000
    most_bytes: int = 32 * 1024 * 1024
    longest_send: float = _SECONDS

    def __init__(
        self, api_key: str, *, base_url: str | None, timeout: float, prices: Prices, clock: Clock
    ) -> None:
        super().__init__(api_key, base_url=base_url, timeout=timeout, prices=prices)
        self._clock = clock

    def send(self, token: str, questions: Iterable[tuple[str, Question]]) -> str:
        del token  # it is in the names
        requests: list[Any] = [
            {"custom_id": name, "params": request_of(question)} for name, question in questions
        ]
        limit = Deadline.after(_SECONDS, self._clock)
        try:
            with own_errors(self._clock), self._clients.lent() as client, until(limit):
                batch = client.messages.batches.create(requests=requests, timeout=timeouts(limit))
                return str(batch.id)
        except ProviderUnavailableError as error:
            raise may_have_arrived(error) from error

    def find(
        self, token: str, *, lines: int, since: datetime, others: frozenset[str]
    ) -> str | None:
        """Return the batch whose lines are named with the token.

        The names are told with the results only: while a batch that may be it is being worked on,
        nobody can tell.
        """
        is_unsure = False
        for batch in self._newest_until(since):
            counts = batch.request_counts
            total = sum(vars(counts).get(name) or 0 for name in type(counts).model_fields)
            if batch.id in others or total > lines:
                continue
            if batch.processing_status != "ended" or batch.results_url is None:
                is_unsure = True
                continue
            first = next(self.results(batch.id), None)
            if first is not None and line_id_of(first.name, token) is not None:
                return str(batch.id)
        if is_unsure:
            raise BatchUnsureError(NAME, "a batch that may be it is being worked on there")
        return None

    def news(self, remote_id: str) -> BatchNews:
        limit = Deadline.after(_SECONDS, self._clock)
        with own_errors(self._clock), self._clients.lent() as client, until(limit):
            batch = client.messages.batches.retrieve(remote_id, timeout=timeouts(limit))
            return BatchNews(batch.processing_status == "ended", batch.ended_at)

    def results(self, remote_id: str) -> Iterator[BatchResult]:
        limit = Deadline.after(_READING_SECONDS, self._clock)
        with own_errors(self._clock), self._clients.lent() as client:
            with until(limit, at_most=RESULT_BYTES):
                found = client.messages.batches.results(remote_id, timeout=timeouts(limit))
            try:
                for one in each_until(limit, iter(found)):
                    yield BatchResult(str(one.custom_id), self._reader(one.result))
            finally:
                found.close()

    def _newest_until(self, since: datetime) -> Iterator[Any]:
        limit = Deadline.after(_SECONDS, self._clock)
        with own_errors(self._clock), self._clients.lent() as client:
            with until(limit):
                page = client.messages.batches.list(limit=_PAGE, timeout=timeouts(limit))
            for batch in each_until(limit, iter(page)):
                if batch.created_at < since:
                    return
                yield batch

    def _reader(self, result: Any) -> "_Reader":
        return _Reader(self, result)

    def answer_in(self, result: Any, question: Question) -> Answer:
        """Return the answer in one line's result.

        Raises:
            ProviderError: there is none.
        """
        with own_errors(self._clock):
            if result.type == "succeeded":
                text, stop_reason, usage = read_message(result.message)
                return self._answer(question, self._clock, text, stop_reason, usage)
            raise _failure(result)


class _Reader:
    """Reads one result once it is known what was asked."""

    def __init__(self, batches: ClaudeBatches, result: Any) -> None:
        self._batches = batches
        self._result = result

    def __call__(self, question: Question) -> Answer:
        return self._batches.answer_in(self._result, question)


def _failure(result: Any) -> ProviderError:
    match result.type:
        case "expired":
            return ProviderRejectedError(NAME, "expired")
        case "canceled":
            return ProviderRejectedError(NAME, "cancelled")
        case "errored":
            error = result.error.error
            if is_too_long(str(error.type), str(error.message).lower()):
                return InputTooLongError(NAME, "input-too-long")
            if error.type in {"api_error", "overloaded_error", "rate_limit_error", "timeout_error"}:
                return ProviderUnavailableError(NAME, "server-error")
            return ProviderRejectedError(NAME, "refused")
    return malformed(NAME)
