"""Reads are booked where that can be done, and answered where it cannot."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from structlog.testing import capture_logs

from askonce.core.errors import DatabaseUnavailableError
from askonce.core.events import Action
from askonce.core.ports import Told
from askonce.services.booking import Reads
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

    def tell_together(self, told: Told[Any], together: Callable[..., Any], item: Any) -> None:
        raise NotImplementedError


def test_a_read_that_cannot_be_booked_stands_in_the_log() -> None:
    reads = Reads(FailingLedger(), FakeClock())

    with capture_logs() as logs:
        reads.book(CALLER, Action.HISTORY_READ, user_id="ann", analysis=7)

    (line,) = logs
    assert (line["event"], line["action"]) == ("read_not_booked", "history.read")
    assert (line["user_id"], line["analysis"]) == ("ann", 7)
