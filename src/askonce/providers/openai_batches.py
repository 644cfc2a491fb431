"""OpenAI's batches: https://platform.openai.com/docs/guides/batch."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from http import HTTPStatus
from typing import IO, Any, Final

from askonce.core.answers import Answer
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import (
    InputTooLongError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.provider_batches import BatchNews, BatchResult
from askonce.core.questions import Question
from askonce.providers.failures import by_status, malformed, may_have_arrived
from askonce.providers.openai import (
    NAME,
    TOO_LONG_CODES,
    OpenAIProvider,
    own_errors,
    request_of,
    response_of,
)
from askonce.providers.prices import Prices
from askonce.providers.wire import RESULT_BYTES, each_until, timeouts, until

# Of one exchange: a batch is tens of megabytes long.
_SECONDS: Final = 600.0
_READING_SECONDS: Final = 6 * 3600.0
_PAGE: Final = 100
_ENDPOINT: Final = "/v1/responses"
_MARK: Final = "askonce"
_IN_MEMORY: Final = 1024 * 1024
# What becomes of the lines that no result is about, by how a batch ended.
_ENDS: Final = {
    "completed": "missing",
    "failed": "refused",
    "expired": "expired",
    "cancelled": "cancelled",
}
_EXPIRED: Final = "batch_expired"


class OpenAIBatches(OpenAIProvider):
    """What OpenAI answers within a day. `prices` are those of batches."""

    # OpenAI takes 50 000 requests and 200 MB.
    most_lines: int = 10_000
    most_bytes: int = 64 * 1024 * 1024
    # The file, then the batch.
    longest_send: float = 2 * _SECONDS

    def __init__(
        self, api_key: str, *, base_url: str | None, timeout: float, prices: Prices, clock: Clock
    ) -> None:
        super().__init__(api_key, base_url=base_url, timeout=timeout, prices=prices)
        self._clock = clock

    def send(self, token: str, questions: Iterable[tuple[str, Question]]) -> str:
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
            for name, question in questions:
                file.write(_line(name, question))
            file.seek(0)
            file_id = self._uploaded(token, file)
        limit = Deadline.after(_SECONDS, self._clock)
        try:
            with own_errors(self._clock), self._clients.lent() as client, until(limit):
                batch = client.batches.create(
                    input_file_id=file_id,
                    endpoint=_ENDPOINT,
                    completion_window="24h",
                    metadata={_MARK: token},
                    timeout=timeouts(limit),
                )
                return str(batch.id)
        except ProviderUnavailableError as error:
            raise may_have_arrived(error) from error

    def find(
        self, token: str, *, lines: int, since: datetime, others: frozenset[str]
    ) -> str | None:
        """Return the batch that bears the token."""
        del lines
        limit = Deadline.after(_SECONDS, self._clock)
        with own_errors(self._clock), self._clients.lent() as client:
            with until(limit):
                page = client.batches.list(limit=_PAGE, timeout=timeouts(limit))
            for batch in each_until(limit, iter(page)):
                if batch.created_at < since.timestamp():
                    return None
                if batch.id not in others and (batch.metadata or {}).get(_MARK) == token:
                    return str(batch.id)
        return None

    def news(self, remote_id: str) -> BatchNews:
        batch = self._batch(remote_id)
        failure = _ENDS.get(str(batch.status))
        if failure is None:
            return BatchNews(is_over=False)
        ended = batch.completed_at or batch.expired_at or batch.cancelled_at or batch.failed_at
        ended_at = None if ended is None else datetime.fromtimestamp(ended, UTC)
        return BatchNews(is_over=True, ended_at=ended_at, failure=failure)

    def results(self, remote_id: str) -> Iterator[BatchResult]:
        batch = self._batch(remote_id)
        for file_id in (batch.output_file_id, batch.error_file_id):
            if file_id is not None:
                yield from self._results_in(str(file_id))

    def _batch(self, remote_id: str) -> Any:
        limit = Deadline.after(_SECONDS, self._clock)
        with own_errors(self._clock), self._clients.lent() as client, until(limit):
            return client.batches.retrieve(remote_id, timeout=timeouts(limit))

    def _uploaded(self, token: str, file: IO[bytes]) -> str:
        limit = Deadline.after(_SECONDS, self._clock)
        try:
            with own_errors(self._clock), self._clients.lent() as client, until(limit):
                made = client.files.create(
                    file=(f"askonce-{token}.jsonl", file),
                    purpose="batch",
                    timeout=timeouts(limit),
                )
                return str(made.id)
        except ProviderUnavailableError as error:
            # A file costs nothing, and no batch knows it.
            raise ProviderUnavailableError(
                NAME, error.reason, retry_after=error.retry_after
            ) from error

    def _results_in(self, file_id: str) -> Iterator[BatchResult]:
        limit = Deadline.after(_READING_SECONDS, self._clock)
        with own_errors(self._clock), self._clients.lent() as client:
            with until(limit, at_most=RESULT_BYTES):
                opened = client.files.with_streaming_response.content(
                    file_id, timeout=timeouts(limit)
                )
                content = opened.__enter__()
            try:
                for line in each_until(limit, content.iter_lines()):
                    if line.strip():
                        facts = json.loads(line)
                        yield BatchResult(str(facts["custom_id"]), _Reader(self, facts))
            finally:
                opened.__exit__(None, None, None)

    def answer_in(self, facts: Any, question: Question) -> Answer:
        """Return the answer in one line's result.

        Raises:
            ProviderError: there is none.
        """
        with own_errors(self._clock):
            response = facts.get("response") or {}
            if response.get("status_code") == HTTPStatus.OK:
                return self._answer(question, self._clock, response_of(response["body"]))
            raise _failure(facts.get("error") or {}, response)


class _Reader:
    """Reads one result once it is known what was asked."""

    def __init__(self, batches: OpenAIBatches, facts: Any) -> None:
        self._batches = batches
        self._facts = facts

    def __call__(self, question: Question) -> Answer:
        return self._batches.answer_in(self._facts, question)


def _line(name: str, question: Question) -> bytes:
    request = {
        "custom_id": name,
        "method": "POST",
        "url": _ENDPOINT,
        "body": request_of(question),
    }
    return json.dumps(request, ensure_ascii=False).encode() + b"\n"


def _failure(error: Any, response: Any) -> ProviderError:
    if error.get("code") == _EXPIRED:
        return ProviderRejectedError(NAME, "expired")
    status = response.get("status_code")
    if not isinstance(status, int):
        return malformed(NAME) if not error else ProviderRejectedError(NAME, "refused")
    told = (response.get("body") or {}).get("error") or {}
    if told.get("code") in TOO_LONG_CODES:
        return InputTooLongError(NAME, "input-too-long")
    return by_status(NAME, status, None)
