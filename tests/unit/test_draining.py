"""The order in which a process ends, with real signals."""

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from askonce.cli.draining import drain_on_sigterm


class Work:
    """Implements `Drained`: finished when a test says so, or when it is hurried."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.is_over = threading.Event()

    def drain(self) -> None:
        self.events.append("drained")

    def is_idle(self) -> bool:
        return self.is_over.is_set()

    def hurry(self) -> None:
        self.events.append("hurried")


class Server:
    """What was there to handle the signal before."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.has_ended = threading.Event()

    def end(self, number: int, _frame: FrameType | None) -> None:
        self._work.events.append(f"ended by {number}")
        self.has_ended.set()


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def server(work: Work) -> Iterator[Server]:
    server = Server(work)
    before = signal.signal(signal.SIGTERM, server.end)
    yield server
    signal.signal(signal.SIGTERM, before)


def test_the_server_ends_when_the_work_is_finished(work: Work, server: Server) -> None:
    drain_on_sigterm(work, grace=60, is_alone=True)

    signal.raise_signal(signal.SIGTERM)
    ended_early = server.has_ended.wait(0.2)
    work.is_over.set()
    server.has_ended.wait(60)

    assert not ended_early
    assert work.events == ["drained", "hurried", "ended by 15"]


def test_work_that_goes_on_for_too_long_is_hurried(work: Work, server: Server) -> None:
    drain_on_sigterm(work, grace=0.1, is_alone=True)

    signal.raise_signal(signal.SIGTERM)
    server.has_ended.wait(60)

    assert work.events == ["drained", "hurried", "ended by 15"]


def test_a_worker_takes_a_second_signal_for_an_echo_of_the_first(
    work: Work, server: Server
) -> None:
    drain_on_sigterm(work, grace=60, is_alone=False)

    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    work.is_over.set()
    server.has_ended.wait(60)

    assert work.events == ["drained", "hurried", "ended by 15"]
