"""Server-sent events: an answer as it is made, then the whole of it, or the problem with it.

The call does not hang on the connection: whoever reads here only follows a tape, and may be slow
or go away without anybody noticing.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from fastapi import Response
from fastapi.responses import StreamingResponse

from askonce.core.landings import Asked, Boarded
from askonce.core.tapes import Tape
from askonce.http import errors
from askonce.http.middleware import Headers

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


def streamed(
    boarded: Boarded,
    *,
    request_id: str,
    headers: Headers,
    shown: Callable[[Asked], str],
) -> Response:
    """Return the answer as events; `shown` writes the object that the JSON answer would be."""
    response = StreamingResponse(
        _events(boarded, request_id, shown),
        media_type=MEDIA_TYPE,
        headers={"X-Accel-Buffering": "no"},
    )
    response.raw_headers += headers
    return response


async def _events(
    boarded: Boarded, request_id: str, shown: Callable[[Asked], str]
) -> AsyncIterator[bytes]:
    is_blank = True
    if boarded.tape is not None:
        async for piece in _followed(boarded.tape):
            is_blank = is_blank and not piece
            yield _delta(piece) if piece else _AWAKE
    # Shielded: the call belongs to the server, and goes on when the reader goes away.
    asked = asyncio.ensure_future(asyncio.wrap_future(boarded.asked))
    # Looked at even when nobody reads on: asyncio would log it, with what the provider said.
    asked.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        while not (await asyncio.wait([asked], timeout=AWAKE_SECONDS))[0]:
            yield _AWAKE
        outcome = asked.result()
    except Exception as error:  # noqa: BLE001 - the answer has begun, so the error is an event
        yield _event("error", bytes(errors.of_error(error, request_id).body).decode())
        return
    if is_blank and outcome.analysis.answer.text:
        yield _delta(outcome.analysis.answer.text)
    yield _event("done", shown(outcome))


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
