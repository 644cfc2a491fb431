"""The examples of docs/api.md do what the page says."""

import http.client
import re
import shlex
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.serving import PATIENCE_SECONDS, Server, Servers
from tests.stub.client import StubProvider

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
_PART = re.compile(r"<!-- model: (?P<said>.*?) -->|```console\n(?P<typed>.*?)```", re.DOTALL)
_LEFT_OUT = "…"


@dataclass(frozen=True, slots=True)
class Example:
    """A command, what the model says to it at most once, and what is shown as its output."""

    command: str
    said: str
    shown: str


def examples() -> Iterator[Example]:
    said = ""
    for part in _PART.finditer(PAGE.read_text()):
        if part["said"]:
            said = part["said"]
            continue
        for typed in re.split(r"^\$ ", part["typed"], flags=re.MULTILINE)[1:]:
            lines = typed.splitlines()
            # A command goes on while its quotation marks are open.
            length = next(n for n in range(1, len(lines) + 1) if is_whole("\n".join(lines[:n])))
            yield Example("\n".join(lines[:length]), said, "\n".join(lines[length:]))
            said = ""


def is_whole(command: str) -> bool:
    return command.count("'") % 2 == 0


def run(command: str, server: Server) -> str:
    """Do what curl would do, and return what it would print."""
    program, *words = shlex.split(command)
    assert program == "curl"
    facts: dict[str, Any] = {"headers": {}}
    shows_headers = False
    while words:
        word = words.pop(0)
        if word == "-i":
            shows_headers = True
        elif word == "-X":
            facts["method"] = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            facts["headers"][name] = value
        elif word == "-d":
            facts["body"] = words.pop(0)
        elif word != "-N":
            assert word.startswith("localhost:8000/")
            facts["url"] = word.removeprefix("localhost:8000")
    facts.setdefault("method", "POST" if "body" in facts else "GET")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
    with closing(connection):
        connection.request(**facts)
        reply = connection.getresponse()
        body = reply.read().decode()
    head = [f"HTTP/1.1 {reply.status} {reply.reason}"]
    head += [f"{name}: {value}" for name, value in reply.getheaders()]
    return "\n".join([*(head if shows_headers else []), body])


def assert_shown(shown: str, output: str) -> None:
    """Find what is shown in the output, in its order; blanks and line breaks do not count."""
    rest = "".join(output.split())
    first, *others = ("".join(piece.split()) for piece in shown.split(_LEFT_OUT))
    assert rest.startswith(first), output
    rest = rest.removeprefix(first)
    last = others.pop() if others else ""
    for piece in filter(None, others):
        assert piece in rest, f"{piece} is not in {output}"
        rest = rest.partition(piece)[2]
    assert rest.endswith(last) if _LEFT_OUT in shown else not rest, f"{shown} is not {output}"


def test_the_examples_of_the_guide_do_what_it_says(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url)

    for example in examples():
        if example.said:
            stub.will(f"say={example.said}")
        assert_shown(example.shown, run(example.command, server))

    assert len(stub.calls()) == len(re.findall("<!-- model: ", PAGE.read_text()))
