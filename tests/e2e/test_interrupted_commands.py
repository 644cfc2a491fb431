"""What becomes of a command on the database that is interrupted, or killed, while it asks."""

import os
import signal

import pytest

from askonce.cli.reaching import reached
from tests.serving import ASKONCE, Server, Servers, until
from tests.stub.client import StubProvider

QUESTION = "Wait for me. [[held=start]]"


@pytest.fixture
def asking(servers: Servers, sqlite_url: str, stub: StubProvider) -> Server:
    """Return `askonce analyze` while it waits for its provider."""
    command = servers.begin_bare(
        *ASKONCE,
        "analyze",
        QUESTION,
        ASKONCE_DATABASE_URL=sqlite_url,
        OPENAI_API_KEY="stub",
        OPENAI_BASE_URL=stub.openai_url,
        USER="ann",
    )
    until(lambda: stub.state()["running"] == 1 or command.is_over())
    return command


@pytest.fixture(autouse=True)
def _same_database(monkeypatch: pytest.MonkeyPatch, sqlite_url: str, stub: StubProvider) -> None:
    """Have what the test itself asks go the same way, but for the process."""
    for name in ("ANTHROPIC_API_KEY", "ASKONCE_URL", "ASKONCE_KEY", "ASKONCE_SPOOL"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ASKONCE_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("OPENAI_API_KEY", "stub")
    monkeypatch.setenv("OPENAI_BASE_URL", stub.openai_url)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_it_ends_once_what_is_being_paid_for_is_kept(
    asking: Server, stub: StubProvider, number: int, code: int
) -> None:
    os.kill(asking.pid, number)
    until(lambda: "finishing and keeping" in asking.log())
    stub.let_go()

    assert asking.wait() == code
    assert asking.log().count("\n") == 1
    with reached(None, None) as client:
        assert client.analyze("bob", QUESTION).cached
    assert len(stub.calls()) == 1


def test_who_insists_need_not_wait(asking: Server) -> None:
    os.kill(asking.pid, signal.SIGINT)
    until(lambda: "finishing and keeping" in asking.log())
    os.kill(asking.pid, signal.SIGINT)

    assert asking.wait() == 130


def test_one_that_was_killed_leaves_nothing_in_the_way_of_the_next(
    asking: Server, stub: StubProvider
) -> None:
    asking.kill()
    stub.let_go()

    with reached(None, None) as client:
        analysis = client.analyze("ann", QUESTION)
        [only] = client.history("ann")

    assert not analysis.cached
    assert only.id == analysis.id
    assert len(stub.calls()) == 2
