"""Makes the call that is paid for, and commits its answer before anything else is done with it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from askonce.core import failures
from askonce.core.access import Asker
from askonce.core.answers import Answer, Delta, Finished, FinishReason
from askonce.core.attempts import Outcome
from askonce.core.clock import Clock, Deadline
from askonce.core.erasure import is_erased
from askonce.core.errors import (
    AnswerParkedError,
    AskonceError,
    BudgetExceededError,
    DatabaseUnavailableError,
    ErasedError,
    InvalidAnswerError,
    LeaseLostError,
    ProviderError,
    ProviderExhaustedError,
    ProviderUnavailableError,
)
from askonce.core.flights import Lease
from askonce.core.landings import Landed
from askonce.core.orders import Order
from askonce.core.ports import Chain, Journal, Ledger, Spool, Transaction
from askonce.core.purchases import Purchase
from askonce.core.questions import Question
from askonce.core.replies import GrowingContent
from askonce.services.booking import settle
from askonce.services.budgets import Bill, Budgets, held
from askonce.services.heartbeat import Heartbeat
from askonce.services.keeping import keep, refuse
from askonce.services.recovery import Recovery
from askonce.services.repair import asked_again, mended
from askonce.telemetry import log, traces
from askonce.telemetry.meters import UNMETERED, Meters

T = TypeVar("T")

_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0


class Leader:
    """Leads flights: calls the provider, then keeps the answer or ends the flight."""

    def __init__(
        self,
        *,
        chain: Chain,
        budgets: Budgets,
        ledger: Ledger,
        heartbeat: Heartbeat,
        clock: Clock,
        owner: str,
        cache_ttl: timedelta,
        spool: Spool,
        recovery: Recovery,
        commit_patience: float,
        meters: Meters = UNMETERED,
    ) -> None:
        self._meters = meters
        self._chain = chain
        self._budgets = budgets
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._clock = clock
        self._owner = owner
        self._cache_ttl = cache_ttl
        self._spool = spool
        self._recovery = recovery
        self._commit_patience = commit_patience
        self._is_hurried = False

    def hurry(self) -> None:
        """Wait for the database no longer: what cannot be committed now stays in the spool."""
        self._is_hurried = True

    def bill(self, asker: Asker, question: Question) -> Bill:
        """Return what is to be held for a call before it is made."""
        return self._budgets.bill(asker, question)

    def open_attempt(
        self, tx: Transaction, order: Order, question: Question, bill: Bill
    ) -> int | BudgetExceededError:
        """Write the intent to call, in a transaction that has made sure of the lease.

        The error is returned, not raised, where the call could pass a budget: raised in here, it
        would undo what others write in this transaction.

        Raises:
            ErasedError: the user for whom it is has been erased since the request began; what was
                claimed in this transaction must be undone, too.
        """
        if is_erased(tx.erasures, order.asker):
            raise ErasedError
        holds = held(tx, bill)
        if isinstance(holds, BudgetExceededError):
            return holds
        attempt_id = tx.attempts.open(
            order.asker,
            order.lease,
            owner=self._owner,
            provider=question.provider,
            model=question.model,
            at=self._clock.now(),
            is_budgeted=bool(holds),
        )
        if holds:
            tx.budgets.note(attempt_id, holds)
        return attempt_id

    def open_alone(
        self, order: Order, question: Question, *, while_holding: Lease | None = None
    ) -> int:
        """Write the intent to make a call that no claim was written for.

        Raises:
            LeaseLostError: the lease is somebody else's now.
            BudgetExceededError: the call could pass a budget.
        """
        bill = self.bill(order.asker, question)

        def open_it(tx: Transaction) -> int | BudgetExceededError:
            if while_holding is not None and not tx.flights.holds(while_holding):
                raise LeaseLostError
            return self.open_attempt(tx, order, question, bill)

        opened = self._ledger.write(
            open_it, key=order.lease.fingerprint, budgets=bill.budget_ids
        ).result()
        if isinstance(opened, BudgetExceededError):
            raise opened
        return opened

    def lead(self, order: Order, *, attempt_id: int) -> Landed | None:
        """Make the call whose intent is `attempt_id`, and commit what it gave.

        Raises:
            ProviderError: there is no usable answer; the flight has been ended with it.
            LeaseLostError: another process took the flight over before the next try.
            ErasedError: the user was erased before the next try; the flight has been ended.
            AnswerParkedError: the answer could not be committed in good time.
        """
        journal = LedgerJournal(self, order, attempt_id)
        if order.has_lease:
            self._heartbeat.start(order.lease.fingerprint)
        began = self._clock.monotonic()
        try:
            # No transaction is open here: a slow provider must not hold a connection.
            answer = self._answer(order, journal)
            fitting = mended(order.question, answer)
            if fitting is None:
                fitting = self._second_answer(order, journal, answer)
                order = replace(order, spent=answer)
            answered = self._clock.monotonic()
            order.phases.provider += answered - began
            landed = self._keep(order, journal, fitting)
            order.phases.ledger += self._clock.monotonic() - answered
            return landed
        except ProviderError as error:
            self._end(order, error)
            raise
        except ErasedError:
            self._let_go(order)
            raise
        except (AnswerParkedError, LeaseLostError):
            # The flight goes on: another process leads it now, or its answer has yet to land.
            raise
        except Exception:
            self._end(order, ProviderExhaustedError(order.question.provider, "internal error"))
            raise
        finally:
            # A call outside the cache must not silence the flight of the same question.
            if order.has_lease:
                self._heartbeat.stop(order.lease.fingerprint)
            self._meters.question_ended(journal.calls)

    def settle(self, order: Order, attempt_id: int, outcome: Outcome, reason: str) -> None:
        """Write that a call gave nothing; where that cannot be written now, it will be."""
        at = self._clock.now()

        def work(tx: Transaction) -> None:
            settle(tx, attempt_id, outcome, at=at, now=self._clock.now(), reason=reason)

        try:
            self.write(work, order)
        except DatabaseUnavailableError:
            self._recovery.settle_later(work)
            raise

    def write(self, work: Callable[[Transaction], T], order: Order) -> T:
        """Commit `work`, which may settle a call, and return what it gave."""
        return self._ledger.write(
            work, key=order.lease.fingerprint, budgets=self._budgets.ids(order.asker)
        ).result()

    def _answer(self, order: Order, journal: Journal) -> Answer:
        if order.tape is None:
            return self._chain.complete(order.question, order.deadline, journal)
        shown = GrowingContent().feed if order.question.is_turn else str
        for event in self._chain.stream(order.question, order.deadline, journal):
            match event:
                case Delta(piece):
                    if growth := shown(piece):
                        order.tape.write(growth)
                case Finished(answer):
                    return answer
        raise AssertionError("a stream that ends without Finished raises")

    def _second_answer(self, order: Order, journal: "LedgerJournal", first: Answer) -> Answer:
        """Ask once more where an answer does not fit its schema, saying what is wrong with it.

        Raises:
            InvalidAnswerError: that would not help, may not be done, or did not help.
        """
        self._refuse(order, journal, first)
        has_gone_out = order.tape is not None and not order.tape.is_blank()
        is_cut = first.finish_reason is FinishReason.LENGTH
        if has_gone_out or is_cut or journal.calls >= self._chain.most_calls(order.question):
            raise InvalidAnswerError(first.provider, "does not fit the schema")
        again = replace(
            asked_again(order.question, first), provider=first.provider, model=first.model
        )
        journal.question = again
        try:
            second = self._chain.once(again, order.deadline, journal)
        except BudgetExceededError:
            raise InvalidAnswerError(first.provider, "does not fit the schema") from None
        fitting = mended(order.question, second)
        if fitting is None:
            self._refuse(order, journal, second)
            raise InvalidAnswerError(second.provider, "does not fit the schema, twice")
        return fitting

    def _refuse(self, order: Order, journal: "LedgerJournal", answer: Answer) -> None:
        """Write that an answer was paid for which cannot be given."""
        purchase = self._purchase(order, journal, answer)
        self._commit(purchase, lambda tx: refuse(tx, purchase, now=self._clock.now()))
        journal.close()

    def _keep(self, order: Order, journal: "LedgerJournal", answer: Answer) -> Landed | None:
        purchase = self._purchase(order, journal, answer)
        with traces.step("keep"):
            landed = self._commit(
                purchase,
                lambda tx: keep(tx, purchase, cache_ttl=self._cache_ttl, now=self._clock.now()),
            )
        log.info(
            "answer_kept",
            provider=answer.provider,
            model=answer.model,
            finish_reason=answer.finish_reason.value,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
        )
        return landed

    def _purchase(self, order: Order, journal: "LedgerJournal", answer: Answer) -> Purchase:
        return Purchase(
            question=order.question,
            asker=order.asker,
            lease=order.lease,
            has_lease=order.has_lease,
            is_kept=order.is_kept,
            owner=self._owner,
            attempt_id=journal.attempt_id,
            answer=answer,
            spent=order.spent,
            at=self._clock.now(),
        )

    def _commit(self, purchase: Purchase, work: Callable[[Transaction], T]) -> T:
        """Commit something that was paid for; a database that is away is waited for.

        Raises:
            AnswerParkedError: it stayed away; the recovery goes on trying.
        """
        # Before anything else: a file is written 20 times as fast as a commit, and outlives us.
        self._spool.put(purchase)
        patience = Deadline.after(self._commit_patience, self._clock)
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                done = self._ledger.write(
                    work,
                    key=purchase.lease.fingerprint,
                    budgets=self._budgets.ids(purchase.asker),
                ).result()
            except AskonceError as error:
                is_over = self._is_hurried or patience.remaining() <= wait
                if is_over or wait == _FIRST_WAIT_SECONDS:
                    self._spool.make_safe(purchase)
                if is_over:
                    log.error("paid_answer_not_committed", provider=purchase.answer.provider)
                    self._recovery.park(purchase)
                    raise AnswerParkedError from error
            else:
                self._spool.drop(purchase)
                return done
            self._clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _end(self, order: Order, error: ProviderError) -> None:
        log.warning(
            "provider_gave_up",
            request_id=order.asker.request_id,
            provider=error.provider,
            reason=error.reason,
        )
        self._let_go(order, failures.written(error))

    def _let_go(self, order: Order, failure: str | None = None) -> None:
        """End a flight; without a failure those who wait for it ask anew."""
        if not order.has_lease:
            return

        def fail(tx: Transaction) -> bool:
            return tx.flights.fail(order.lease, failure=failure)

        try:
            self.write(fail, order)
        except DatabaseUnavailableError:
            self._recovery.settle_later(fail)


class LedgerJournal:
    """The attempts of one order: each is durable before its call is made."""

    def __init__(self, leader: Leader, order: Order, attempt_id: int) -> None:
        self._leader = leader
        self._order = order
        # What is asked; at whom, the chain decides.
        self.question = order.question
        self.attempt_id = attempt_id
        self.calls = 1
        # The first intent was written together with the claim: one commit for both.
        self._is_open = True

    def open(self, provider: str, model: str) -> None:
        if self._is_open:
            return
        order = self._order
        self.attempt_id = self._leader.open_alone(
            order,
            replace(self.question, provider=provider, model=model),
            while_holding=order.lease if order.has_lease else None,
        )
        self.calls += 1
        self._is_open = True

    def failed(self, error: ProviderError) -> None:
        is_unknown = isinstance(error, ProviderUnavailableError) and error.may_be_paid
        outcome = Outcome.UNKNOWN if is_unknown else Outcome.FAILED
        self._leader.settle(self._order, self.attempt_id, outcome, error.reason)
        self.close()

    def close(self) -> None:
        """Note that the attempt has been settled: the next call needs one of its own."""
        self._is_open = False
