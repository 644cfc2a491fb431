"""Never pay twice for the same answer: look up, claim, ask, keep.

However many requests ask one question at one time, here and in all other processes over the same
database, at most one of them makes a provider call. The others wait without a thread or a
connection of their own.
"""

from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from askonce.core.caching import CacheRules
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import BudgetExceededError, NotCachedError, RateLimitedError
from askonce.core.idempotency import Repeat
from askonce.core.landings import Asked, Boarded, Landed, Way
from askonce.core.limits import Subject
from askonce.core.ports import Gift, Ledger, Told
from askonce.core.requests import Request, Visit
from askonce.services.budgets import Budgets
from askonce.services.flying import Flight, Flying
from askonce.services.futures import already, tell, then
from askonce.services.giving import Giver, Recalled, outcome
from askonce.services.rate_limits import RateLimits
from askonce.telemetry import traces
from askonce.telemetry.meters import UNMETERED, Meters


class AskOnce:
    """What all features go through when they need an answer."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        flying: Flying,
        budgets: Budgets,
        clock: Clock,
        deadline_seconds: float,
        limits: RateLimits | None = None,
        meters: Meters = UNMETERED,
    ) -> None:
        self._meters = meters
        self._ledger = ledger
        self._limits = limits
        self._giver = Giver(clock, limits)
        self._flying = flying
        self._budgets = budgets
        self._clock = clock
        self._deadline_seconds = deadline_seconds

    def ask(self, request: Request) -> "Future[Asked]":
        """Return the future answer; the asker's history row is durable when it resolves.

        The future raises `NotCachedError`, a `ProviderError`, `OverloadedError`,
        `BudgetExceededError`, `IdempotencyMismatchError`, `DeletedError`, `ErasedError`,
        `RateLimitedError` or `DatabaseUnavailableError`. Nobody needs to wait for it: the call is
        finished, stored and cached all the same.
        """
        return then(self.board(request), lambda boarded: boarded.asked)

    def board(self, request: Request) -> "Future[Boarded]":
        """Return a future that resolves, soon, to where the answer will come from.

        It raises `NotCachedError`, `IdempotencyMismatchError`, `DeletedError`, `RateLimitedError`
        or `DatabaseUnavailableError`; what goes wrong later is raised by `Boarded.asked`.
        """
        board = traces.here()(lambda found: already(self.board_given(request, found)))
        return then(self.recall(request), board)

    def recall(self, request: Request) -> "Future[Recalled]":
        """Count a request, and return what can be given without a call.

        What is asked in a session was counted when it was said. It raises nothing but
        `DatabaseUnavailableError`: `board_given` does, or who knows better what to make of it.
        """
        future: Future[Recalled] = Future()
        self.recall_for(future, request)
        return future

    def recall_for(self, told: Told[Recalled], request: Request) -> None:
        """Tell what `recall` returns; a hit cannot afford a future."""
        if self._limits is None or request.asker.turn is not None:
            self._look(told, request)
            return
        refusal = self._limits.refusal(request)
        if refusal is not None:
            told.set_result(Recalled(refusal))
        else:
            self._ledger.tell_together(told, self._giver.admit, request)

    def visit(self, *counted_for: Subject) -> "Future[Recalled]":
        """Count a request that asks nothing."""
        if self._limits is None:
            return already(Recalled(None))
        visit = Visit(counted_for)
        refusal = self._limits.refusal(visit)
        if refusal is not None:
            return already(Recalled(refusal))
        return self._ledger.write_together(self._giver.admit, visit)

    def board_given(self, request: Request, recalled: Recalled) -> Boarded:
        """Return where the answer will come from, once `recall` gave what it could.

        Raises:
            NotCachedError: it gave nothing, and the request wants no call.
            IdempotencyMismatchError, DeletedError: its key cannot be used.
            ErasedError: its user has been erased since it began.
            RateLimitedError: the asker, or who asks with the same key, asks too often.
        """
        if recalled.given is not None:
            asked = self.counted(outcome(recalled.given))
            return Boarded(asked=already(asked), way=asked.way)
        if request.rules.only_if_cached:
            raise NotCachedError
        if request.asker.era is None:
            request = replace(request, asker=replace(request.asker, era=recalled.era))
        return self._fly(request)

    def counted(self, asked: Asked) -> Asked:
        """Count what was given, once, and return it."""
        self._meters.answered(asked)
        return asked

    def _look(self, told: Told[Recalled], request: Request) -> None:
        """Tell what can be given to a request that need not be counted."""
        if request.rules.no_store:
            repeated = self._ledger.write(
                lambda tx: self._giver.repeat(tx, request.asker),
                key=request.fingerprint,
            )
            repeated.add_done_callback(partial(tell, told))
        else:
            self._ledger.tell_together(told, self._giver.recall, request)

    def _ask_again(self, request: Request) -> "Future[Asked]":
        recalled: Future[Recalled] = Future()
        # It has been counted.
        self._look(recalled, request)
        return then(recalled, lambda found: self.board_given(request, found).asked)

    def _fly(self, request: Request) -> Boarded:
        key = request.asker.key
        flight = Flight(
            question=request.question,
            # Outside the cache only a repeat of the very same request may join a call.
            fingerprint=key.scope if request.rules.no_store and key else request.fingerprint,
            first=request.asker,
            accepted=request.rules.accepted(self._clock.now()),
            deadline=Deadline.after(self._deadline_seconds, self._clock),
            is_streamed=request.is_streamed,
            is_kept=not request.rules.no_store,
        )
        if request.rules.no_store and key is None:
            self._flying.fly_alone(flight)
            boarded = flight
        else:
            boarded = self._flying.board(flight)
        is_first = boarded is flight
        way = _way_of_first(request.rules) if is_first else Way.COLLAPSED

        def came(given: Asked | Repeat | RateLimitedError) -> Asked:
            return self.counted(replace(outcome(given), phases=boarded.phases))

        def disembark(landed: Landed | BudgetExceededError | None) -> "Future[Asked]":
            if isinstance(landed, BudgetExceededError) and (
                is_first or self._budgets.refuse_too(landed, request.asker)
            ):
                raise landed
            if not isinstance(landed, Landed):
                return self._ask_again(request)
            if is_first and landed.paid is not None:
                paid = Asked(
                    given=landed.paid, way=way, is_kept=landed.is_kept, phases=boarded.phases
                )
                return already(self.counted(paid))
            gift = Gift(landed.answer_id, request.asker)
            shared = self._ledger.write_together(self._giver.share, gift)
            # None: the answer was deleted between its landing and our row.
            return then(
                shared, lambda g: self._ask_again(request) if g is None else already(came(g))
            )

        return Boarded(asked=then(boarded.landing, disembark), way=way, tape=boarded.tape)


def _way_of_first(rules: CacheRules) -> Way:
    return Way.BYPASS if rules.no_cache or rules.no_store else Way.MISS
