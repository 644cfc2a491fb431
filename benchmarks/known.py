"""The questions that hits ask for, and the answer that the bare framework gives for all of them."""

import http.client
import json

from benchmarks.keys import KEY
from benchmarks.load import errors_of, post, put_on
from benchmarks.loader import Group
from benchmarks.servers import Running

_QUESTIONS = 100
# About as long as a review or a support request.
_PADDING = "Two weeks late, and then the wrong colour. " * 4


def requests() -> list[str]:
    """Return the requests of many users for many questions that have an answer."""
    return [post(_text(number), f"user-{number}") for number in range(_QUESTIONS)]


def learn(server: Running) -> None:
    """Have all of them answered once, so that they are hits from now on.

    Raises:
        RuntimeError: some were not answered.
    """
    (seen,) = put_on(
        Group(port=server.port, requests=requests(), connections=10, times=_QUESTIONS // 10 * 2)
    )
    if errors_of(seen):
        raise RuntimeError(f"questions were answered with {seen.statuses}")


def answer(server: Running) -> str:
    """Return the body of a hit."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    body = json.dumps({"text": _text(0)})
    try:
        headers = {"content-type": "application/json", "x-api-key": KEY}
        connection.request("POST", "/analyze/user-0", body, headers)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _text(number: int) -> str:
    return f"Is review {number} happy or angry? {_PADDING}"
