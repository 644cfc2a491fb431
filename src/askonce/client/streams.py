"""An answer as it is made: read piece by piece, and whole at the end."""

from collections.abc import Callable, Generator, Iterator, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import httpx2

from askonce.client.errors import StreamBrokenError
from askonce.client.transport import Transport, event_problem

T = TypeVar("T")


class Stream(Generic[T]):
    """The pieces of an answer, in order; `result` is the whole of it once they are all read.

    A connection that breaks is made again: the idempotency key brings the same answer, and what
    was read already is left out.
    """

    def __init__(
        self,
        transport: Transport,
        path: str,
        *,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        read: Callable[[Mapping[str, Any], Mapping[str, str]], T],
    ) -> None:
        self._transport = transport
        self._path = path
        self._body = body
        self._headers = {**headers, "accept": "text/event-stream"}
        self._read = read
        self._pieces = self._all_pieces()
        self._said = ""
        self._result: T | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[str]:
        """Yield the pieces.

        Raises:
            ProblemError: the service cannot answer, or could not go on.
            UnreachableError: the connection broke, and could not be made again.
            StreamBrokenError: another answer came after it broke.
        """
        return self._pieces

    @property
    def result(self) -> T:
        """The whole; reads what is still to come."""
        for _ in self._pieces:
            pass
        if self._result is None:
            raise StreamBrokenError("the stream was closed before its end")
        return self._result

    def close(self) -> None:
        """Read no further. The service finishes and keeps the answer all the same."""
        self._pieces.close()

    def _all_pieces(self) -> Generator[str, None, None]:
        for attempt in self._transport.attempts():
            with attempt:
                yield from self._pieces_of_one_try()
                return

    def _pieces_of_one_try(self) -> Iterator[str]:
        seen = ""
        with self._transport.streamed(
            "POST", self._path, body=self._body, headers=self._headers
        ) as response:
            for event in httpx2.EventSource(response, max_event_size=None):
                match event.event:
                    case "delta":
                        seen += _text_of(event)
                        yield from self._new_part_of(seen)
                    case "done":
                        self._result = self._read(_object_of(event), response.headers)
                        return
                    case "error":
                        raise event_problem(_object_of(event))
        raise httpx2.RemoteProtocolError("the stream ended without its end")

    def _new_part_of(self, seen: str) -> Iterator[str]:
        if not (seen.startswith(self._said) or self._said.startswith(seen)):
            raise StreamBrokenError("after the connection broke another answer came")
        piece = seen[len(self._said) :]
        if piece:
            self._said = seen
            yield piece


def _object_of(event: httpx2.ServerSentEvent) -> Mapping[str, Any]:
    facts = event.json()
    if not isinstance(facts, dict):
        raise httpx2.RemoteProtocolError("an event is not an object")
    return facts


def _text_of(event: httpx2.ServerSentEvent) -> str:
    return str(_object_of(event)["text"])
