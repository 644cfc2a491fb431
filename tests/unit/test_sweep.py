"""The sweep in the background: it comes again and again, and goes when the process goes."""

import threading
from contextlib import AbstractContextManager
from typing import Any

import pytest

from askonce.core.errors import DatabaseUnavailableError
from askonce.core.ports import Transaction
from askonce.services.retention import Retention
from askonce.services.sweep import Sweep
from tests.fakes.clock import FakeClock

PATIENCE_SECONDS = 20.0


class LookedAt:
    """Implements the port `Database`, as one that raises `error` and counts how often."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.times = 0
        self.twice = threading.Event()

    def reading(self) -> AbstractContextManager[Transaction]:
        self.times += 1
        if self.times == 2:
            self.twice.set()
        raise self._error

    def transaction(self) -> AbstractContextManager[Any]:
        raise AssertionError

    def ping(self) -> None:
        raise AssertionError


def swept(database: LookedAt, seconds: float) -> Sweep:
    retention = Retention(database=database, clock=FakeClock())
    sweep = Sweep(retention, seconds=seconds, spread=lambda: 0.5)
    sweep.start()
    return sweep


@pytest.mark.parametrize("error", [DatabaseUnavailableError(), RuntimeError()])
def test_a_sweep_that_fails_is_followed_by_another(error: Exception) -> None:
    database = LookedAt(error)
    sweep = swept(database, 0.01)

    assert database.twice.wait(PATIENCE_SECONDS)
    sweep.close()


def test_closing_does_not_wait_for_the_next_sweep() -> None:
    database = LookedAt(RuntimeError())

    swept(database, 86_400.0).close()

    assert database.times == 0


def test_without_an_interval_nothing_is_swept() -> None:
    database = LookedAt(RuntimeError())
    threads = threading.active_count()

    sweep = swept(database, 0.0)

    assert threading.active_count() == threads
    sweep.close()
