"""What becomes of a paid answer while the database is away."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest

from askonce.core.clock import Deadline
from askonce.core.errors import AnswerParkedError, DatabaseUnavailableError
from askonce.core.flights import Lease
from askonce.core.orders import Order
from askonce.core.ports import Chain, Told, Transaction
from askonce.core.purchases import Purchase
from askonce.providers.prices import Prices
from askonce.services.budgets import Budgets
from askonce.services.heartbeat import Heartbeat
from askonce.services.leading import Leader
from askonce.services.recovery import Recovery
from tests.examples import ALICE, KEY, a_question, an_answer
from tests.fakes.clock import FakeClock


class AwayLedger:
    """Implements the port `Ledger` over a database that is away."""

    def __init__(self) -> None:
        self.tries = 0

    def write(
        self,
        work: Callable[[Transaction], Any],
        *,
        key: bytes = b"",
        budgets: Sequence[int] = (),
    ) -> "Future[Any]":
        del work, key, budgets
        return self._fail()

    def write_together(
        self, together: Callable[[Transaction, Sequence[Any]], Sequence[Any]], item: Any
    ) -> "Future[Any]":
        del together, item
        return self._fail()

    def tell_together(
        self,
        told: Told[Any],
        together: Callable[[Transaction, Sequence[Any]], Sequence[Any]],
        item: Any,
    ) -> None:
        raise NotImplementedError

    def _fail(self) -> "Future[Any]":
        self.tries += 1
        failed: Future[Any] = Future()
        failed.set_exception(DatabaseUnavailableError())
        return failed


class AwayDatabase:
    """Implements the port `Database`."""

    def reading(self) -> AbstractContextManager[Transaction]:
        raise DatabaseUnavailableError

    def transaction(self) -> AbstractContextManager[Transaction]:
        raise DatabaseUnavailableError

    def ping(self) -> None:
        raise DatabaseUnavailableError


class NotedSpool:
    """Implements the port `Spool`: remembers what was done."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def put(self, purchase: Purchase) -> None:
        self.events.append(f"put {purchase.answer.text}")

    def make_safe(self, purchase: Purchase) -> None:
        del purchase
        self.events.append("made safe")

    def drop(self, purchase: Purchase) -> None:
        del purchase
        self.events.append("dropped")

    def set_aside(self, purchase: Purchase) -> None:
        del purchase
        self.events.append("set aside")

    def waiting(self, fingerprint: bytes | None = None) -> list[Purchase]:
        del fingerprint
        return []


class Unknown:
    """Implements the port `Liveness`."""

    def is_dead(self, owner: str) -> bool:
        del owner
        return False

    is_alive = is_dead


class Scene:
    """A leader whose answer comes at once, and cannot be committed."""

    def __init__(self, chain: Chain) -> None:
        self.ledger = AwayLedger()
        self.spool = NotedSpool()
        self.clock = FakeClock()
        self.heartbeat = Heartbeat(self.ledger, owner="me", seconds=60)
        self.leader = Leader(
            chain=chain,
            budgets=Budgets(database=AwayDatabase(), prices=Prices(), clock=self.clock),
            ledger=self.ledger,
            heartbeat=self.heartbeat,
            clock=self.clock,
            owner="me",
            cache_ttl=timedelta(days=1),
            spool=self.spool,
            recovery=Recovery(
                database=AwayDatabase(),
                ledger=self.ledger,
                spool=self.spool,
                liveness=Unknown(),
                clock=self.clock,
                owner="me",
                cache_ttl=timedelta(days=1),
                given_up_after=timedelta(minutes=7),
            ),
            commit_patience=30,
        )

    def lead(self) -> None:
        order = Order(
            question=a_question(),
            asker=ALICE,
            lease=Lease(fingerprint=KEY, epoch=1, fence=1),
            has_lease=True,
            is_kept=True,
            deadline=Deadline.after(60, self.clock),
        )
        try:
            self.leader.lead(order, attempt_id=1)
        finally:
            self.heartbeat.close()


@pytest.fixture
def scene() -> Scene:
    return Scene(AnsweringChain())


class AnsweringChain:
    """Implements the port `Chain`."""

    def complete(self, *_: object) -> Any:
        return an_answer()

    once = stream = complete

    def most_calls(self, _: object) -> int:
        return 1


def test_a_database_that_is_away_is_waited_for(scene: Scene) -> None:
    with pytest.raises(AnswerParkedError):
        scene.lead()

    assert 28 < sum(scene.clock.sleeps) <= 30
    assert max(scene.clock.sleeps) == 1


def test_the_answer_is_written_down_first_and_made_safe_when_the_database_is_away(
    scene: Scene,
) -> None:
    with pytest.raises(AnswerParkedError):
        scene.lead()

    assert scene.spool.events == [f"put {an_answer().text}", "made safe", "made safe"]


def test_a_flight_whose_answer_waits_is_not_ended(scene: Scene) -> None:
    with pytest.raises(AnswerParkedError):
        scene.lead()

    assert scene.ledger.tries == len(scene.clock.sleeps) + 1


def test_a_process_that_ends_waits_no_longer(scene: Scene) -> None:
    scene.leader.hurry()

    with pytest.raises(AnswerParkedError):
        scene.lead()

    assert scene.ledger.tries == 1
    assert scene.clock.sleeps == []
    assert scene.spool.events == [f"put {an_answer().text}", "made safe"]
