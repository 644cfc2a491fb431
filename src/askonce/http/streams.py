"""Server-sent events: an answer as it is made, then the whole of it, or the problem with it.

The call does not hang on the connection: whoever reads here only follows a tape, and may be slow
or go away without anybody noticing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from fastapi import Response
from fastapi.responses import StreamingResponse

from askonce.core.landings import Asked
from askonce.core.tapes import Tape
from askonce.http import errors
from askonce.http.middleware import Headers
from askonce.services.turns import Took
from askonce.telemetry import requests

T = TypeVar("T", bound=Asked | Took)

MEDIA_TYPE = "text/event-stream"
# Proxies drop a connection on which nothing was said for half a minute or a minute.
AWAKE_SECONDS = 15.0
_AWAKE = b": awake\n\n"


def is_wanted(accept: str) -> bool:
    """Return whether an Accept header asks for a stream (RFC 9110 section 12.5.1)."""
    for choice in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in choice.split(";"))
        if media_type == MEDIA_TYPE:
            return not any(part.replace(" ", "") in {"q=0", "q=0.0"} for part in parameters)
    return False


def has_failed(outcome: "Future[T]") -> bool:
    """Return whether it is known already that nothing comes of it: no stream is begun then."""
    return outcome.done() and outcome.exception() is not None


def streamed(
    outcome: "Future[T]",
    tape: Tape | None,
    *,
    request_id: str,
    headers: Headers,
    said: Callable[[T], str],
    shown: Callable[[T], str],
) -> Response:
    """Return an outcome as events.

    `said` returns the text that is shown where the tape has none; `shown` writes the object that
    the JSON answer would be.
    """
    response = StreamingResponse(
        _events(outcome, tape, request_id, said, shown),
        media_type=MEDIA_TYPE,
        headers={"X-Accel-Buffering": "no"},
    )
    response.raw_headers += headers
    return response


async def _events(
    outcome: "Future[T]",
    tape: Tape | None,
    request_id: str,
    said: Callable[[T], str],
    shown: Callable[[T], str],
) -> AsyncIterator[bytes]:
    is_blank = True
    if tape is not None:
        async for piece in _followed(tape):
            is_blank = is_blank and not piece
            yield _delta(piece) if piece else _AWAKE
    # Shielded: the call belongs to the server, and goes on when the reader goes away.
    coming = asyncio.ensure_future(asyncio.wrap_future(outcome))
    # Looked at even when nobody reads on: asyncio would log it, with what the provider said.
    coming.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        while not (await asyncio.wait([coming], timeout=AWAKE_SECONDS))[0]:
            yield _AWAKE
        came = coming.result()
    except Exception as error:  # noqa: BLE001 - the answer has begun, so the error is an event
        yield _event("error", bytes(errors.of_error(error, request_id).body).decode())
        return
    requests.tell(requests.of_asked(came.asked if isinstance(came, Took) else came))
    if is_blank and said(came):
        yield _delta(said(came))
    yield _event("done", shown(came))


async def _followed(tape: Tape) -> AsyncIterator[str]:
    """Yield what is on the tape from its beginning, and nothing (`""`) to stay awake."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def wake() -> None:
        # The loop may be gone when a call outlives the server's last reader.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(news.set)

    stop = tape.listen(wake)
    position = 0
    try:
        while True:
            news.clear()
            pieces, is_over = tape.read(position)
            position += len(pieces)
            if pieces:
                yield "".join(pieces)
            elif is_over:
                return
            else:
                try:
                    await asyncio.wait_for(news.wait(), AWAKE_SECONDS)
                except TimeoutError:
                    yield ""
    finally:
        stop()


def _delta(piece: str) -> bytes:
    return _event("delta", json.dumps({"text": piece}))


def _event(name: str, data: str) -> bytes:
    # One line of JSON: a newline in a model's text can never begin an event of its own.
    return f"event: {name}\ndata: {data}\n\n".encode()
