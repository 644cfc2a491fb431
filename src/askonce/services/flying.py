"""Gets one answer for one question, here or from the process that is getting it already.

All that happens to a flight between its take-off and its landing: it leads, or it follows a
leader elsewhere, or it takes over from one that died.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from askonce.core import failures
from askonce.core.access import Asker
from askonce.core.caching import Accepted
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import (
    BudgetExceededError,
    ErasedError,
    LeaseLostError,
    OverloadedError,
    ProviderExhaustedError,
)
from askonce.core.flights import FlightState, Lease, Seen
from askonce.core.landings import Landed, Phases
from askonce.core.orders import Order
from askonce.core.ports import Ledger, Transaction
from askonce.core.questions import Question
from askonce.core.tapes import Tape
from askonce.services.booking import book_abandoned
from askonce.services.budgets import Bill
from askonce.services.giving import replay
from askonce.services.lane import Lane
from askonce.services.leading import Leader
from askonce.services.recovery import Recovery
from askonce.services.watch import Followed, News, Watch
from askonce.telemetry import traces
from askonce.telemetry.meters import UNMETERED, Meters


@dataclass(slots=True, kw_only=True)
class Flight:
    """A question that this process is getting the answer to, on behalf of all who ask it here.

    Who asks first decides: whether it is streamed, whether the answer is kept as a cache entry,
    whose budgets it counts against. `landing` is None where an entry was found after all, or who
    asked first was erased: everybody looks it up again. It is an error where the first asker's
    budgets do not allow the call; those of others may.
    """

    question: Question
    fingerprint: bytes
    first: Asker
    accepted: Accepted
    deadline: Deadline
    is_streamed: bool
    is_kept: bool
    tape: Tape = field(default_factory=Tape)
    phases: Phases = field(default_factory=Phases)
    traced: Callable[[Callable[[], None]], Callable[[], None]] = field(default_factory=traces.here)
    landing: "Future[Landed | BudgetExceededError | None]" = field(default_factory=Future)


class _AnsweredMeanwhileError(Exception):
    """Undoes a claim that is not needed any more."""


class Flying:
    """The flights of this process."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        leader: Leader,
        watch: Watch,
        lane: Lane,
        recovery: Recovery,
        clock: Clock,
        owner: str,
        meters: Meters = UNMETERED,
    ) -> None:
        self._meters = meters
        self._ledger = ledger
        self._leader = leader
        self._watch = watch
        self._lane = lane
        self._recovery = recovery
        self._clock = clock
        self._owner = owner
        self._airborne: dict[bytes, Flight] = {}
        self._lock = threading.Lock()

    def board(self, flight: Flight) -> Flight:
        """Return the flight of this question that is in the air already, or let this one start."""
        with self._lock:
            boarded = self._airborne.setdefault(flight.fingerprint, flight)
        if boarded is flight:
            self._in_lane(flight, lambda: self._take_off(flight))
        return boarded

    def fly_alone(self, flight: Flight) -> None:
        """Make a call that nobody joins and that no row stands for."""
        lease = Lease(fingerprint=flight.fingerprint, epoch=0, fence=0)
        order = self._order(flight, lease, has_lease=False)

        def call() -> None:
            _refuse_when_late(flight.deadline)
            attempt_id = self._leader.open_alone(order, order.question)
            self._land(flight, self._leader.lead(order, attempt_id=attempt_id))

        self._in_lane(flight, call)

    def in_the_air(self) -> int:
        """Return how many questions this process is getting answers to."""
        return len(self._airborne)

    def _in_lane(self, flight: Flight, step: Callable[[], None]) -> None:
        """Take a step of a flight in a thread of the slow lane; whatever it raises, lands."""
        submitted = self._clock.monotonic()

        def guarded() -> None:
            waited = self._clock.monotonic() - submitted
            flight.phases.queue += waited
            self._meters.slot_taken(waited)
            try:
                step()
            except ErasedError:
                # Only who asked first is gone: the others ask anew.
                self._land(flight, None)
            except BaseException as error:  # noqa: BLE001 - it belongs to all who wait
                self._land(flight, error)

        try:
            self._lane.submit(flight.traced(guarded))
        except OverloadedError as error:
            self._land(flight, error)

    def _take_off(self, flight: Flight) -> None:
        _refuse_when_late(flight.deadline)
        if self._recovery.recovered(flight.fingerprint):
            # It was paid for before, and has only now been stored: everybody looks it up again.
            self._land(flight, None)
            return
        # Freshness and claim are one statement, or two callers slip between look-up and claim.
        accepted = replace(flight.accepted, now=self._clock.now())
        bill = self._leader.bill(flight.first, flight.question)

        def claim(tx: Transaction) -> tuple[Order, int] | BudgetExceededError | Seen | None:
            lease = tx.flights.claim(
                flight.fingerprint, tenant=flight.first.tenant, owner=self._owner, accepted=accepted
            )
            if lease is None:
                return tx.flights.read([flight.fingerprint]).get(flight.fingerprint)
            if replay(tx, flight.first, accepted.now) is not None:
                # Only now can we see what another process has just answered this very key with.
                raise _AnsweredMeanwhileError
            return self._ordered(tx, flight, lease, bill)

        asked_at = self._clock.monotonic()
        try:
            with traces.step("claim"):
                claimed = self._ledger.write(
                    claim, key=flight.fingerprint, budgets=bill.budget_ids
                ).result()
            flight.phases.ledger += self._clock.monotonic() - asked_at
        except _AnsweredMeanwhileError:
            self._land(flight, None)
            return
        if isinstance(claimed, tuple):
            self._lead(flight, *claimed)
        elif isinstance(claimed, BudgetExceededError):
            self._land(flight, claimed)
        elif claimed is None or _is_hit(claimed, accepted):
            self._land(flight, None)
        else:
            self._follow(flight, claimed)

    def _take_over(self, flight: Flight, seen: Seen) -> None:
        _refuse_when_late(flight.deadline)
        if self._recovery.recovered(flight.fingerprint):
            # The dead leader had its answer already.
            self._follow(flight, seen)
            return

        bill = self._leader.bill(flight.first, flight.question)

        def take_over(tx: Transaction) -> tuple[Order, int] | BudgetExceededError | None:
            lease = tx.flights.take_over(flight.fingerprint, seen, owner=self._owner)
            if lease is None:
                return None
            # What the dead leader's calls cost, nobody will ever know.
            self._abandon(tx, flight, seen)
            return self._ordered(tx, flight, lease, bill)

        taken = self._ledger.write(
            take_over, key=flight.fingerprint, budgets=bill.budget_ids
        ).result()
        if taken is None:
            self._follow(flight, seen)
        elif isinstance(taken, BudgetExceededError):
            self._land(flight, taken)
        else:
            self._lead(flight, *taken)

    def _ordered(
        self, tx: Transaction, flight: Flight, lease: Lease, bill: Bill
    ) -> tuple[Order, int] | BudgetExceededError:
        """Write the intent to call in the transaction that gave us the lease.

        Where a budget does not allow the call the lease is given back at once. Nobody has seen it
        but those who followed a dead leader: they ask anew, for themselves.
        """
        order = self._order(flight, lease, has_lease=True)
        opened = self._leader.open_attempt(tx, order, flight.question, bill)
        if isinstance(opened, BudgetExceededError):
            tx.flights.fail(lease, failure=None)
            return opened
        return order, opened

    def _order(self, flight: Flight, lease: Lease, *, has_lease: bool) -> Order:
        return Order(
            question=flight.question,
            asker=flight.first,
            lease=lease,
            has_lease=has_lease,
            is_kept=flight.is_kept,
            deadline=flight.deadline,
            tape=flight.tape if flight.is_streamed else None,
            phases=flight.phases,
        )

    def _lead(self, flight: Flight, order: Order, attempt_id: int) -> None:
        try:
            landed = self._leader.lead(order, attempt_id=attempt_id)
        except LeaseLostError:
            self._catch_up(flight, order.lease.epoch)
        else:
            self._land(flight, landed)

    def _catch_up(self, flight: Flight, epoch: int) -> None:
        """Take the answer of whoever took over: it is not older than the request."""

        def look(tx: Transaction) -> Seen | None:
            return tx.flights.read([flight.fingerprint]).get(flight.fingerprint)

        seen = self._ledger.write(look, key=flight.fingerprint).result()
        if seen is not None and seen.state is FlightState.RUNNING:
            self._follow(flight, seen)
        else:
            self._arrive(flight, epoch, seen)

    def _follow(self, flight: Flight, seen: Seen) -> None:
        """Wait for an answer that another process is paying for."""

        def on_news(news: News, row: Seen | None) -> None:
            if news is News.OVER:
                self._arrive(flight, followed.epoch, row)
            elif news is News.LEADERLESS and row is not None:
                self._in_lane(flight, lambda: self._take_over(flight, row))
            elif news is News.HOPELESS and row is not None:
                self._in_lane(flight, lambda: self._give_up(flight, row))
            else:
                self._land(flight, self._exhausted(flight, "no answer before the deadline"))

        followed = Followed(
            fingerprint=flight.fingerprint,
            epoch=seen.epoch,
            deadline=flight.deadline,
            on_news=on_news,
        )
        self._watch.follow(followed)

    def _arrive(self, flight: Flight, epoch: int, seen: Seen | None) -> None:
        """Take what the other process's flight ended with."""
        if seen is not None and seen.state is FlightState.DONE and seen.answer_id is not None:
            self._land(flight, Landed(answer_id=seen.answer_id))
        elif seen is not None and _is_hit(seen, replace(flight.accepted, now=self._clock.now())):
            # The refresh failed that we waited for, but the entry it was to replace still stands.
            self._land(flight, None)
        elif (
            seen is not None
            and seen.state is FlightState.FAILED
            and seen.epoch == epoch
            and seen.failure is not None
        ):
            self._land(flight, failures.read(seen.failure))
        else:
            # Purged: what was deleted is not served, so the question is asked anew.
            self._in_lane(flight, lambda: self._take_off(flight))

    def _give_up(self, flight: Flight, seen: Seen) -> None:
        if self._recovery.recovered(flight.fingerprint):
            self._follow(flight, seen)
            return
        error = self._exhausted(flight, "the process that asked it died, twice")

        def give_up(tx: Transaction) -> bool:
            # The flight before its attempts, as everywhere: PostgreSQL locks them in this order.
            is_over = tx.flights.give_up(flight.fingerprint, seen, failure=failures.written(error))
            self._abandon(tx, flight, seen)
            return is_over

        if self._ledger.write(give_up, key=flight.fingerprint).result():
            raise error
        self._follow(flight, seen)

    def _abandon(self, tx: Transaction, flight: Flight, seen: Seen) -> None:
        now = self._clock.now()
        left = tx.attempts.abandon(flight.fingerprint, owner=seen.owner, at=now)
        book_abandoned(tx, left, at=now)

    def _land(self, flight: Flight, outcome: Landed | BaseException | None) -> None:
        with self._lock:
            if self._airborne.get(flight.fingerprint) is flight:
                del self._airborne[flight.fingerprint]
        if isinstance(outcome, BaseException) and not isinstance(outcome, BudgetExceededError):
            flight.landing.set_exception(outcome)
        else:
            flight.landing.set_result(outcome)
        flight.tape.end()

    def _exhausted(self, flight: Flight, reason: str) -> ProviderExhaustedError:
        return ProviderExhaustedError(flight.question.provider, reason)


def _is_hit(seen: Seen, accepted: Accepted) -> bool:
    return (
        seen.stored_at is not None
        and seen.expires_at is not None
        and accepted.allows(stored_at=seen.stored_at, expires_at=seen.expires_at)
    )


def _refuse_when_late(deadline: Deadline) -> None:
    """Spend nothing on a question that waited for a slot until nobody waited for it."""
    if deadline.has_passed():
        raise OverloadedError
