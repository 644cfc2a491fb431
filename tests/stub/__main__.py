"""A provider that costs nothing and misbehaves on demand: `python -m tests.stub --port 0`.

It speaks Anthropic's Messages API (`POST /v1/messages`) and OpenAI's Responses API
(`POST /v1/responses`), plain and streamed, over HTTP/1.1 with keep-alive, in a process of its own,
and prints `http://127.0.0.1:PORT` on one line when it is ready. An ok answer reads
`answer to <first 8 hex digits of the question's SHA-256> #<number of the call>`; in a conversation
the question is what was said last, and this is the content of the reply, which is JSON.

What a call does is said in a line of words, either beforehand (`POST /_script` with a JSON list of
lines, each used up by one call) or in the question itself: `what is this? [[429 retry-after=2]]`.
A line is at most one mode and any options:

    ok (the default)        400 … 599                an error status in the vendor's shape
    reset                   connection reset instead of an answer
    cut, cut-politely       half of the answer, then a reset, or an orderly end
    malformed, html,        a 200 that holds broken JSON, a page of HTML, `{}`, `[1, 2]`
      shapeless, list
    empty, blank            an answer without a word
    refusal, filtered       an answer that refuses; one that a content filter stopped
    length, full            cut at the token limit; the limit used up without saying so (llama.cpp)
    tool, failed            a wish to call a tool; a 200 that says that the model failed (OpenAI)
    no-usage                an answer that does not say what it took (not streamed)
    hang-up                 an ok answer after which the connection is closed without a word
    nul, surrogate          characters that no database stores
    error-event, pings      streams only: an error in the middle; a minute of pings
    trickle, trickle-head   one byte each `every` seconds, of the body or of everything
    endless, squeezed       an answer that goes on and on; one that is long only when it is unpacked
    redirect, hang          a 307 to elsewhere; a minute of silence
    quota, too-long         the vendor's word for no money left, and for too long a question

    slow=S                  seconds before anything is sent
    held=start              nothing is sent until `POST /_let_go`; after it, calls are held no more
    held=middle             the same for the second half of a stream
    echo=yes                an error repeats the question and the key that it came with
    every=S                 seconds between the bytes of a trickle and between pings (0.1)
    times=N                 only the first N calls with this question, the later ones are ok
    cached=N                tokens of the question that came from the vendor's prompt cache
    text=…                  the answer's text; takes the rest of the line
    say=…                   the same, as JSON where a reply in a conversation is asked for
    NAME=VALUE              any other: a response header, `_` for a blank (retry-after=2)

It also takes batches (`/v1/messages/batches`, `/v1/files` and `/v1/batches`) and answers them when
it is told so (`POST /_finish_batches`); see `tests/stub/batches.py`. A request to these endpoints
uses up a line of the script: an error status, `reset` before it counts, `lost` after it has,
`held=start` and `held=end`.

`GET /v1/models/NAME` tells of a model: 401 for a key with `wrong` in it, 404 for `no-such-…`.

`GET /_calls` tells what was asked (`calls`, `running`, `max_running`), `POST /_reset` forgets all
and lets all go.
"""

import argparse
import asyncio

from tests.stub.server import StubServer


async def serve(port: int) -> None:
    """Say where, and answer there until killed."""
    server = await StubServer().listen(port)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stub")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))


if __name__ == "__main__":
    main()
