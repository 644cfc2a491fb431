"""Makes the call that is paid for, and commits its answer before anything else is done with it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from askonce.core import failures
from askonce.core.access import Asker
from askonce.core.answers import Answer, Delta, Finished, FinishReason
from askonce.core.attempts import Outcome
from askonce.core.caching import is_worth_keeping
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import (
    AskonceError,
    DatabaseUnavailableError,
    InvalidAnswerError,
    LeaseLostError,
    ProviderError,
    ProviderExhaustedError,
    ProviderUnavailableError,
)
from askonce.core.flights import FlightState, Lease
from askonce.core.landings import Landed
from askonce.core.ports import Chain, Journal, Ledger, Transaction
from askonce.core.questions import Question
from askonce.core.tapes import Tape
from askonce.services.giving import settle
from askonce.services.heartbeat import Heartbeat
from askonce.services.repair import asked_again, mended, together
from askonce.telemetry import log

T = TypeVar("T")

# A paid answer is worth waiting for: the database gets this long to come back.
COMMIT_PATIENCE_SECONDS = 60.0
_FIRST_WAIT_SECONDS = 0.05
_LONGEST_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A call to be made: what is asked, for whom, and by when."""

    question: Question
    asker: Asker
    lease: Lease
    # False for a call outside the cache, which no row in the flight table stands for.
    has_lease: bool
    # Whether the answer may become a cache entry.
    is_kept: bool
    deadline: Deadline
    # Where to write the answer as it is made, if anybody wants to read it so.
    tape: Tape | None = None
    # An answer that was paid for before, but did not fit the schema.
    spent: Answer | None = None


class Leader:
    """Leads flights: calls the provider, then keeps the answer or ends the flight."""

    def __init__(
        self,
        *,
        chain: Chain,
        ledger: Ledger,
        heartbeat: Heartbeat,
        clock: Clock,
        owner: str,
        cache_ttl: timedelta,
        most_calls: int,
    ) -> None:
        self._chain = chain
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._clock = clock
        self._owner = owner
        self._cache_ttl = cache_ttl
        self._most_calls = most_calls

    def open_attempt(self, tx: Transaction, order: Order, provider: str, model: str) -> int:
        """Write the intent to call, and return its id.

        Raises:
            LeaseLostError: another process leads this flight now.
        """
        if order.has_lease and not tx.flights.holds(order.lease):
            raise LeaseLostError
        return tx.attempts.open(
            order.asker,
            order.lease,
            owner=self._owner,
            provider=provider,
            model=model,
            at=self._clock.now(),
        )

    def open_first(self, order: Order) -> int:
        """Write the intent to make a call that no claim was written for."""
        return self.write(
            lambda tx: self.open_attempt(tx, order, order.question.provider, order.question.model),
            order,
        )

    def lead(self, order: Order, *, attempt_id: int) -> Landed:
        """Make the call whose intent is `attempt_id`, and commit what it gave.

        Raises:
            ProviderError: there is no usable answer; the flight has been ended with it.
            LeaseLostError: another process took the flight over before the next try.
            DatabaseUnavailableError: the answer could not be committed for a whole minute.
        """
        journal = LedgerJournal(self, order, attempt_id)
        if order.has_lease:
            self._heartbeat.start(order.lease.fingerprint)
        try:
            # No transaction is open here: a slow provider must not hold a connection.
            answer = self._answer(order, journal)
            fitting = mended(order.question, answer)
            if fitting is None:
                fitting = self._second_answer(order, journal, answer)
                order = replace(order, spent=answer)
            return self._keep(order, fitting, journal.attempt_id)
        except ProviderError as error:
            self._end(order, error)
            raise
        except LeaseLostError:
            raise
        except Exception:
            self._end(order, ProviderExhaustedError(order.question.provider, "internal error"))
            raise
        finally:
            # A call outside the cache must not silence the flight of the same question.
            if order.has_lease:
                self._heartbeat.stop(order.lease.fingerprint)

    def settle(self, order: Order, attempt_id: int, outcome: Outcome, reason: str) -> None:
        """Write that a call gave nothing."""
        self.write(
            lambda tx: tx.attempts.settle(attempt_id, outcome, at=self._clock.now(), reason=reason),
            order,
        )

    def write(self, work: Callable[[Transaction], T], order: Order) -> T:
        """Commit `work` and return what it gave."""
        return self._ledger.write(work, key=order.lease.fingerprint).result()

    def _answer(self, order: Order, journal: Journal) -> Answer:
        if order.tape is None:
            return self._chain.complete(order.question, order.deadline, journal)
        for event in self._chain.stream(order.question, order.deadline, journal):
            match event:
                case Delta(piece):
                    order.tape.write(piece)
                case Finished(answer):
                    return answer
        raise AssertionError("a stream that ends without Finished raises")

    def _second_answer(self, order: Order, journal: "LedgerJournal", first: Answer) -> Answer:
        """Ask once more where an answer does not fit its schema, saying what is wrong with it.

        Raises:
            InvalidAnswerError: that would not help, may not be done, or did not help.
        """
        self._commit(order, lambda tx: self._refused(tx, journal, first))
        has_gone_out = order.tape is not None and not order.tape.is_blank()
        is_cut = first.finish_reason is FinishReason.LENGTH
        if has_gone_out or is_cut or journal.calls >= self._most_calls:
            raise InvalidAnswerError(first.provider, "does not fit the schema")
        again = replace(
            asked_again(order.question, first), provider=first.provider, model=first.model
        )
        second = self._chain.once(again, order.deadline, journal)
        fitting = mended(order.question, second)
        if fitting is None:
            self._commit(order, lambda tx: self._refused(tx, journal, second))
            raise InvalidAnswerError(second.provider, "does not fit the schema, twice")
        return fitting

    def _refused(self, tx: Transaction, journal: "LedgerJournal", answer: Answer) -> None:
        """Write that an answer was paid for which cannot be given."""
        tx.attempts.settle(journal.attempt_id, Outcome.INVALID, at=self._clock.now(), answer=answer)
        journal.close()

    def _keep(self, order: Order, answer: Answer, attempt_id: int) -> Landed:
        landed = self._commit(order, lambda tx: self._kept(tx, order, answer, attempt_id))
        log.info(
            "answer_kept",
            provider=answer.provider,
            model=answer.model,
            finish_reason=answer.finish_reason.value,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
        )
        return landed

    def _kept(self, tx: Transaction, order: Order, answer: Answer, attempt_id: int) -> Landed:
        """Write answer, cache entry, history row and the attempt's end: all or nothing."""
        bought = tx.attempts.bought(attempt_id)
        if bought is not None:
            # Our commit went through the first time; only its acknowledgement was lost.
            return Landed(answer_id=bought, paid=tx.analyses.given(order.asker, bought))
        standing = self._standing_answer(tx, order)
        if standing is not None:
            tx.attempts.settle(attempt_id, Outcome.DUPLICATE, at=self._clock.now(), answer=answer)
            return Landed(answer_id=standing)
        now = self._clock.now()
        answer_id = tx.answers.add(
            order.question,
            answer if order.spent is None else together(answer, order.spent),
            tenant=order.asker.tenant,
            fingerprint=order.lease.fingerprint,
            at=now,
        )
        may_keep = order.is_kept and is_worth_keeping(answer)
        has_landed = order.has_lease and tx.flights.land(
            order.lease,
            answer_id=answer_id,
            stored_at=now,
            expires_at=now + self._cache_ttl if may_keep else now,
        )
        tx.attempts.settle(attempt_id, Outcome.ANSWERED, at=now, answer=answer, answer_id=answer_id)
        paid = tx.analyses.add(order.asker, answer_id, cached=False, at=now)
        if paid is not None:
            settle(tx, order.asker, paid)
        return Landed(answer_id=answer_id, paid=paid, is_kept=has_landed and may_keep)

    def _standing_answer(self, tx: Transaction, order: Order) -> int | None:
        """Return the answer that another leader of this epoch was quicker with."""
        if not order.has_lease:
            return None
        seen = tx.flights.locked(order.lease.fingerprint)
        if seen is None or seen.epoch != order.lease.epoch or seen.state is not FlightState.DONE:
            return None
        return seen.answer_id

    def _commit(self, order: Order, work: Callable[[Transaction], T]) -> T:
        """Commit something that was paid for; a database that is away is waited for."""
        patience = Deadline.after(COMMIT_PATIENCE_SECONDS, self._clock)
        wait = _FIRST_WAIT_SECONDS
        while True:
            try:
                return self.write(work, order)
            except AskonceError:
                if patience.remaining() <= wait:
                    log.error("paid_answer_not_committed", provider=order.question.provider)
                    raise
            self._clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)

    def _end(self, order: Order, error: ProviderError) -> None:
        log.warning("provider_gave_up", provider=error.provider, reason=error.reason)
        if not order.has_lease:
            return
        # Where even this cannot be written, the silent heartbeat ends the flight.
        with suppress(DatabaseUnavailableError):
            self.write(
                lambda tx: tx.flights.fail(order.lease, failure=failures.written(error)), order
            )


class LedgerJournal:
    """The attempts of one order: each is durable before its call is made."""

    def __init__(self, leader: Leader, order: Order, attempt_id: int) -> None:
        self._leader = leader
        self._order = order
        self.attempt_id = attempt_id
        self.calls = 1
        # The first intent was written together with the claim: one commit for both.
        self._is_open = True

    def open(self, provider: str, model: str) -> None:
        if self._is_open:
            return
        self.attempt_id = self._leader.write(
            lambda tx: self._leader.open_attempt(tx, self._order, provider, model), self._order
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
