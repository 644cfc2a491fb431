"""`askonce analyze` and `chat` at a terminal."""

import os
import pty
import select
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest

from askonce import Client
from tests.databases import SqliteTemplates
from tests.serving import ASKONCE, Server, Servers, bare_environment, until
from tests.stub.client import StubProvider


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    running_stub: StubProvider,
    sqlite_templates: SqliteTemplates,
) -> Iterator[Server]:
    servers = Servers(tmp_path_factory.mktemp("terminal") / "servers", running_stub)
    yield servers.start(sqlite_templates.copy())
    servers.stop()


@pytest.fixture
def remote(server: Server) -> dict[str, str]:
    return {"ASKONCE_URL": f"http://127.0.0.1:{server.port}", "USER": "ann"}


class Terminal:
    """A command with a terminal of its own, which shows all that it prints."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*ASKONCE, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=bare_environment() | {"TERM": "xterm", "COLUMNS": "100"} | environment,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def interrupt(self) -> None:
        """Do what Ctrl-C does in a terminal that the command controls."""
        self.process.send_signal(signal.SIGINT)

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until a text is on the terminal."""
        until(lambda: self._read().count(text) >= times or self.process.poll() is not None)
        assert self._read().count(text) >= times, self.shown

    def end(self) -> int:
        """Return the exit code, once all is read."""
        until(lambda: [self._read(), self.process.poll()][1] is not None)
        self._read()
        os.close(self._ours)
        return self.process.returncode

    def _read(self) -> str:
        # Linux answers with an error once nobody has the other end any more.
        with suppress(OSError):
            while select.select([self._ours], [], [], 0)[0]:
                self.shown += os.read(self._ours, 65_536).decode()
        return self.shown


def test_an_answer_comes_piece_by_piece_and_cannot_act_on_the_terminal(
    remote: dict[str, str], stub: StubProvider
) -> None:
    asking = Terminal("analyze", "Stream. [[held=middle text=begun \x1b[2J and ended]]", **remote)

    asking.wait_for("begun ")
    assert "ended" not in asking.shown
    stub.let_go()

    assert asking.end() == 0
    assert "ended" in asking.shown
    assert "\x1b[2J" not in asking.shown
    assert "asked: openai" in asking.shown


def test_no_colour_is_no_colour(remote: dict[str, str]) -> None:
    plain = Terminal("analyze", "Colours?", **remote, NO_COLOR="1")

    assert plain.end() == 0
    assert "\x1b[3" not in plain.shown
    assert "asked: openai" in plain.shown


def test_a_conversation_is_typed_streamed_interrupted_and_gone_on_with(
    remote: dict[str, str], server: Server, stub: StubProvider
) -> None:
    talking = Terminal("chat", **remote)
    talking.wait_for("> ")
    talking.type("Hello? [[say=Good day.]]\n")
    talking.wait_for("75% sure; in all ")
    talking.type("More? [[held=middle say=It is begun and will be ended]]\n")
    # The terminal shows what is typed, too: the reply has begun where it stands there twice.
    talking.wait_for("It is b", times=2)
    talking.interrupt()
    talking.wait_for("finished and kept all the same")
    stub.let_go()
    talking.type("/nothing\n")
    talking.wait_for("There is no /nothing")
    talking.type("\x04")

    assert talking.end() == 0
    with Client(f"http://127.0.0.1:{server.port}") as client:
        [session] = client.sessions("ann")
        assert f"askonce chat --session {session.id}" in talking.shown
        until(lambda: client.session(session.id).message_count == 4)
        assert client.session(session.id).messages[0].content == "It is begun and will be ended"
