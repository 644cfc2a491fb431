"""Reads are booked where that can be done, and answered where it cannot."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from askonce.core.errors import DatabaseUnavailableError
from askonce.core.events import Action
from askonce.services.booking import Reads
from askonce.telemetry import log
from tests.examples import CALLER
from tests.fakes.clock import FakeClock


class FailingLedger:
    """Implements the port `Ledger` over a database that takes no writes."""

    def write(
        self, work: Callable[..., Any], *, key: bytes = b"", budgets: Sequence[int] = ()
    ) -> "Future[Any]":
        raise NotImplementedError

    def write_together(self, together: Callable[..., Any], item: Any) -> "Future[Any]":
        del together, item
        failed: Future[Any] = Future()
        failed.set_exception(DatabaseUnavailableError())
        return failed


def test_a_read_that_cannot_be_booked_stands_in_the_log(
    capfd: pytest.CaptureFixture[str],
) -> None:
    log.configure("INFO")

    Reads(FailingLedger(), FakeClock()).book(CALLER, Action.HISTORY_READ, user_id="ann", analysis=7)
    log.drain()

    logged = capfd.readouterr()
    told = logged.out + logged.err
    assert "read_not_booked" in told
    assert "history.read" in told
    assert "ann" in told
