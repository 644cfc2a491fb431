"""Never pay twice for the same answer: look up, claim, ask, keep.

However many requests ask one question at one time, here and in all other processes over the same
database, at most one of them makes a provider call. The others wait without a thread or a
connection of their own.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from askonce.core import failures
from askonce.core.access import Asker
from askonce.core.caching import Accepted, CacheRules
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import (
    LeaseLostError,
    NotCachedError,
    OverloadedError,
    ProviderExhaustedError,
)
from askonce.core.flights import FlightState, Lease, Seen
from askonce.core.landings import Asked, Landed, Way
from askonce.core.ports import Kept, Ledger, Transaction
from askonce.core.questions import Question, Scope
from askonce.services.futures import already, then
from askonce.services.lane import Lane
from askonce.services.leading import Leader, Order
from askonce.services.watch import Followed, News, Watch


@dataclass(slots=True, kw_only=True)
class Flight:
    """A question that this process is getting the answer to, on behalf of all who ask it here.

    `landing` is None where an entry was found after all: everybody looks it up again.
    """

    question: Question
    fingerprint: bytes
    first: Asker
    accepted: Accepted
    deadline: Deadline
    landing: "Future[Landed | None]" = field(default_factory=Future)


class AskOnce:
    """What all features go through when they need an answer."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        leader: Leader,
        watch: Watch,
        lane: Lane,
        clock: Clock,
        owner: str,
        deadline_seconds: float,
    ) -> None:
        self._ledger = ledger
        self._leader = leader
        self._watch = watch
        self._lane = lane
        self._clock = clock
        self._owner = owner
        self._deadline_seconds = deadline_seconds
        self._airborne: dict[bytes, Flight] = {}
        self._lock = threading.Lock()

    def ask(
        self, question: Question, asker: Asker, scope: Scope, rules: CacheRules
    ) -> "Future[Asked]":
        """Return the future answer; the asker's history row is durable when it resolves.

        The future raises `NotCachedError`, a `ProviderError`, `OverloadedError` or
        `DatabaseUnavailableError`. Nobody needs to wait for it: the call is finished, stored and
        cached all the same.
        """
        fingerprint = question.fingerprint(scope)
        if rules.no_store:
            return self._ask_apart(question, asker, fingerprint)

        def fly(kept: Kept | None) -> "Future[Asked]":
            if kept is not None:
                return already(_hit(kept))
            if rules.only_if_cached:
                raise NotCachedError
            return self._board(question, asker, scope, rules, fingerprint)

        accepted = rules.accepted(self._clock.now())
        recalled = self._ledger.write(
            lambda tx: tx.flights.recall(fingerprint, asker, accepted), key=fingerprint
        )
        return then(recalled, fly)

    def flights(self) -> int:
        """Return how many questions this process is getting answers to."""
        return len(self._airborne)

    def _ask_apart(self, question: Question, asker: Asker, fingerprint: bytes) -> "Future[Asked]":
        """Make a call outside the cache, which nobody joins and which leaves no entry."""
        done: Future[Asked] = Future()
        order = Order(
            question=question,
            asker=asker,
            lease=Lease(fingerprint=fingerprint, epoch=0, fence=0),
            is_cacheable=False,
            deadline=self._deadline(),
        )

        def call() -> None:
            try:
                _refuse_when_late(order.deadline)
                attempt_id = self._leader.write(
                    lambda tx: self._leader.open_attempt(
                        tx, order, question.provider, question.model
                    ),
                    order,
                )
                landed = self._leader.lead(order, attempt_id=attempt_id)
                done.set_result(_paid(landed, Way.BYPASS))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                done.set_exception(error)

        self._lane.submit(call)
        return done

    def _board(
        self,
        question: Question,
        asker: Asker,
        scope: Scope,
        rules: CacheRules,
        fingerprint: bytes,
    ) -> "Future[Asked]":
        """Join the flight of this question, or start one."""
        flight = Flight(
            question=question,
            fingerprint=fingerprint,
            first=asker,
            accepted=rules.accepted(self._clock.now()),
            deadline=self._deadline(),
        )
        with self._lock:
            boarded = self._airborne.setdefault(fingerprint, flight)
        is_first = boarded is flight
        if is_first:
            self._in_lane(flight, lambda: self._take_off(flight))

        def disembark(landed: Landed | None) -> "Future[Asked]":
            if landed is None:
                return self.ask(question, asker, scope, rules)
            if is_first and landed.paid is not None:
                return already(_paid(landed, Way.BYPASS if rules.no_cache else Way.MISS))
            return then(self._given(asker, landed.answer_id, fingerprint), record)

        def record(asked: Asked | None) -> "Future[Asked]":
            # None: the answer was deleted between its landing and our row.
            return self.ask(question, asker, scope, rules) if asked is None else already(asked)

        return then(boarded.landing, disembark)

    def _given(self, asker: Asker, answer_id: int, fingerprint: bytes) -> "Future[Asked | None]":
        """Write the history row of somebody who waited for an answer that another request paid."""

        def work(tx: Transaction) -> Asked | None:
            analysis = tx.analyses.add(asker, answer_id, cached=True, at=self._clock.now())
            return None if analysis is None else Asked(analysis=analysis, way=Way.COLLAPSED)

        return self._ledger.write(work, key=fingerprint)

    def _in_lane(self, flight: Flight, step: Callable[[], None]) -> None:
        """Take a step of a flight in a thread of the slow lane; whatever it raises, lands."""

        def guarded() -> None:
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - it belongs to all who wait
                self._land(flight, error)

        try:
            self._lane.submit(guarded)
        except OverloadedError as error:
            self._land(flight, error)

    def _take_off(self, flight: Flight) -> None:
        _refuse_when_late(flight.deadline)
        # Freshness and claim are one statement, or two callers slip between look-up and claim.
        accepted = replace(flight.accepted, now=self._clock.now())

        def claim(tx: Transaction) -> tuple[Order, int] | Seen | None:
            lease = tx.flights.claim(
                flight.fingerprint, tenant=flight.first.tenant, owner=self._owner, accepted=accepted
            )
            if lease is None:
                return tx.flights.read([flight.fingerprint]).get(flight.fingerprint)
            return self._ordered(tx, flight, lease)

        claimed = self._ledger.write(claim, key=flight.fingerprint).result()
        if isinstance(claimed, tuple):
            self._lead(flight, *claimed)
        elif claimed is None or _is_hit(claimed, accepted):
            self._land(flight, None)
        else:
            self._follow(flight, claimed)

    def _take_over(self, flight: Flight, seen: Seen) -> None:
        _refuse_when_late(flight.deadline)

        def take_over(tx: Transaction) -> tuple[Order, int] | None:
            lease = tx.flights.take_over(flight.fingerprint, seen, owner=self._owner)
            if lease is None:
                return None
            # What the dead leader's calls cost, nobody will ever know.
            tx.attempts.abandon(flight.fingerprint, owner=seen.owner, at=self._clock.now())
            return self._ordered(tx, flight, lease)

        taken = self._ledger.write(take_over, key=flight.fingerprint).result()
        if taken is None:
            self._follow(flight, seen)
        else:
            self._lead(flight, *taken)

    def _ordered(self, tx: Transaction, flight: Flight, lease: Lease) -> tuple[Order, int]:
        """Write the intent to call in the transaction that gave us the lease."""
        order = Order(
            question=flight.question,
            asker=flight.first,
            lease=lease,
            is_cacheable=True,
            deadline=flight.deadline,
        )
        question = flight.question
        return order, self._leader.open_attempt(tx, order, question.provider, question.model)

    def _lead(self, flight: Flight, order: Order, attempt_id: int) -> None:
        try:
            landed = self._leader.lead(order, attempt_id=attempt_id)
        except LeaseLostError:
            self._take_off(flight)
        else:
            self._land(flight, landed)

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
        error = self._exhausted(flight, "the process that asked it died, twice")

        def give_up(tx: Transaction) -> bool:
            tx.attempts.abandon(flight.fingerprint, owner=seen.owner, at=self._clock.now())
            return tx.flights.give_up(flight.fingerprint, seen, failure=failures.written(error))

        if self._ledger.write(give_up, key=flight.fingerprint).result():
            raise error
        self._follow(flight, seen)

    def _land(self, flight: Flight, outcome: Landed | BaseException | None) -> None:
        with self._lock:
            self._airborne.pop(flight.fingerprint, None)
        if isinstance(outcome, BaseException):
            flight.landing.set_exception(outcome)
        else:
            flight.landing.set_result(outcome)

    def _deadline(self) -> Deadline:
        return Deadline.after(self._deadline_seconds, self._clock)

    def _exhausted(self, flight: Flight, reason: str) -> ProviderExhaustedError:
        return ProviderExhaustedError(flight.question.provider, reason)


def _hit(kept: Kept) -> Asked:
    return Asked(
        analysis=kept.analysis,
        way=Way.HIT,
        stored_at=kept.stored_at,
        expires_at=kept.expires_at,
    )


def _paid(landed: Landed, way: Way) -> Asked:
    if landed.paid is None:
        message = "the row of a paid call is written with its answer"
        raise AssertionError(message)
    return Asked(analysis=landed.paid, way=way, is_kept=landed.is_kept)


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
