"""Keeps what vendors answered in batches, as what is answered at once is kept."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

from askonce.core.access import Caller
from askonce.core.answers import Answer
from askonce.core.attempts import Outcome
from askonce.core.caching import CacheRules
from askonce.core.clock import Clock
from askonce.core.erasure import is_erased
from askonce.core.errors import (
    InputTooLongError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.flights import FlightState, Lease
from askonce.core.landings import Way
from askonce.core.ports import Gift, Ledger, Transaction
from askonce.core.provider_batches import (
    Batch,
    BatchProvider,
    BatchResult,
    BatchState,
    Line,
    LineState,
    line_id_of,
    owner_of,
)
from askonce.core.purchases import Purchase
from askonce.core.questions import Question
from askonce.services.booking import asked, settle
from askonce.services.budgets import Budgets
from askonce.services.keeping import keep, refuse
from askonce.services.repair import mended
from askonce.telemetry import log

_PORTION = 50
_MOST_TOKENS = 1_000_000

INVALID = "invalid-answer"
DELETED = "deleted"
EXHAUSTED = "provider-exhausted"
REJECTED = "provider-rejected"
TOO_LONG = "input-too-long"


class Collecting:
    """Brings the answers of one tenant's batches home. Whatever dies meanwhile, each comes once."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        budgets: Budgets,
        clock: Clock,
        tenant: str,
        cache_ttl: timedelta,
    ) -> None:
        self._ledger = ledger
        self._budgets = budgets
        self._clock = clock
        self._tenant = tenant
        self._cache_ttl = cache_ttl

    def collect(self, batch: Batch, vendor: BatchProvider) -> None:
        """Keep the answers of a batch, if it is over.

        Raises:
            ProviderError: the vendor does not answer; what was kept stays kept.
        """
        if batch.remote_id is None:
            return
        news = vendor.news(batch.remote_id)
        if not news.is_over:
            return
        now = self._clock.now()
        # An entry is as old as its answer.
        at = now if news.ended_at is None else min(news.ended_at, now)
        results = vendor.results(batch.remote_id)
        while portion := list(islice(results, _PORTION)):
            self._keep(batch, portion, at)
        self._fail_rest(batch, ProviderRejectedError(batch.provider, news.failure), news.failure)
        log.info("batch_collected", provider=batch.provider, lines=batch.lines)

    def fail(self, batch: Batch, error: ProviderError) -> None:
        """Write that nothing of a batch has been taken."""
        self._fail_rest(batch, error, failure_of(error))

    def give_followers(self) -> None:
        """Give the lines that ask what another one asks what became of that one."""
        while self._ledger.write(self._give_some).result():
            pass

    def _keep(self, batch: Batch, results: Sequence[BatchResult], at: datetime) -> None:
        named = {line_id_of(one.name, batch.token): one for one in results}
        ids = [line_id for line_id in named if line_id is not None]
        lines = self._ledger.write(lambda tx: tx.provider_batches.locked(batch.id, ids)).result()
        waiting = [line for line in lines.values() if line.state is LineState.WAITING]
        came = [(line, _read(named[line.id], _asked(batch, line))) for line in waiting]
        budget_ids = {one for line in waiting for one in self._budgets.ids(line.asker)}

        def work(tx: Transaction) -> None:
            still = tx.provider_batches.locked(batch.id, [line.id for line in waiting])
            for line, answer in came:
                now_line = still.get(line.id)
                if now_line is None or now_line.state is not LineState.WAITING:
                    continue
                # As it is now: its user may have been erased since.
                self._land(tx, batch, replace(now_line, question=line.question), answer, at)

        self._ledger.write(work, budgets=sorted(budget_ids)).result()

    def _land(
        self,
        tx: Transaction,
        batch: Batch,
        line: Line,
        answer: Answer | ProviderError,
        at: datetime,
    ) -> None:
        now = self._clock.now()
        attempt_id = line.attempt_id or 0
        if isinstance(answer, ProviderError):
            is_unknown = isinstance(answer, ProviderUnavailableError) and answer.may_be_paid
            outcome = Outcome.UNKNOWN if is_unknown else Outcome.FAILED
            settle(tx, attempt_id, outcome, at=at, now=now, reason=answer.reason)
            tx.provider_batches.settle(line.id, failure=failure_of(answer))
            return
        question = _asked(batch, line)
        fitting = mended(question, answer)
        purchase = Purchase(
            question=question,
            asker=line.asker,
            lease=Lease(fingerprint=line.fingerprint, epoch=line.epoch, fence=0),
            has_lease=False,
            is_kept=True,
            owner=owner_of(batch.id),
            attempt_id=attempt_id,
            answer=answer if fitting is None else fitting,
            spent=None,
            at=at,
        )
        if fitting is None:
            refuse(tx, purchase, now=now)
            tx.provider_batches.settle(line.id, failure=INVALID)
            return
        landed = keep(tx, _with_lease(tx, purchase, line, now), cache_ttl=self._cache_ttl, now=now)
        if landed is None or landed.paid is None:
            tx.provider_batches.settle(line.id, failure=DELETED)
        else:
            tx.provider_batches.settle(line.id, analysis_id=landed.paid.id)

    def _fail_rest(self, batch: Batch, error: ProviderError, failure: str) -> None:
        """Settle the lines that no result was about, some at a time, and then the batch."""

        def work(tx: Transaction) -> Sequence[Line]:
            found = tx.provider_batches.lines(batch.id, after=0, limit=_PORTION)
            lines = tx.provider_batches.locked(batch.id, [line.id for line in found]).values()
            now = self._clock.now()
            for line in lines:
                settle(
                    tx, line.attempt_id or 0, Outcome.FAILED, at=now, now=now, reason=error.reason
                )
                tx.provider_batches.settle(line.id, failure=failure)
            if not found:
                tx.provider_batches.move(batch.id, BatchState.OVER)
            return found

        budget_ids = self._budgets.of_tenant(batch.tenant)
        while self._ledger.write(work, budgets=budget_ids).result():
            pass

    def _give_some(self, tx: Transaction) -> int:
        pairs = tx.provider_batches.followers(self._tenant, limit=_PORTION)
        now = self._clock.now()
        for line, leader in pairs:
            failure = leader.failure or self._give(tx, line, leader, now)
            if failure is not None:
                tx.provider_batches.settle(line.id, failure=failure)
        return len(pairs)

    def _give(self, tx: Transaction, line: Line, leader: Line, now: datetime) -> str | None:
        """Give a line the answer of another; return why it cannot be given."""
        caller = Caller(tenant=self._tenant)
        found = (
            None
            if leader.analysis_id is None
            else tx.analyses.one(caller, leader.asker.user_id, leader.analysis_id)
        )
        if found is None or not line.asker.user_id or is_erased(tx.erasures, line.asker):
            return DELETED
        gift = Gift(found.answer.id or 0, line.asker)
        (given,) = tx.analyses.share([gift], at=now)
        if given is None:
            return DELETED
        tx.book(asked(line.asker, given, Way.COLLAPSED, at=now))
        tx.provider_batches.settle(line.id, analysis_id=given.id)
        return None


def failure_of(error: ProviderError) -> str:
    """Return what the API would call this failure, or the vendor's own end of a batch."""
    match error:
        case InputTooLongError():
            return TOO_LONG
        case ProviderUnavailableError():
            return EXHAUSTED
    return error.reason if error.reason in {"expired", "cancelled"} else REJECTED


def _with_lease(tx: Transaction, purchase: Purchase, line: Line, now: datetime) -> Purchase:
    """Return a purchase that may become a cache entry, if nothing happened to its question since.

    Who asked it meanwhile has made an entry; who deleted it wants none.
    """
    if not line.asker.user_id:
        return purchase
    seen = tx.flights.locked(line.fingerprint)
    epoch = 0 if seen is None else seen.epoch
    if epoch != line.epoch or (seen is not None and seen.state is FlightState.RUNNING):
        return purchase
    lease = tx.flights.claim(
        line.fingerprint,
        tenant=line.asker.tenant,
        owner=purchase.owner,
        accepted=CacheRules().accepted(now),
    )
    return purchase if lease is None else replace(purchase, lease=lease, has_lease=True)


def _asked(batch: Batch, line: Line) -> Question:
    """Return what was asked, or what can still be said of it once the user was erased."""
    return line.question or Question(
        text="", provider=batch.provider, model=batch.model, max_output_tokens=_MOST_TOKENS
    )


def _read(result: BatchResult, question: Question) -> Answer | ProviderError:
    try:
        return result.read(question)
    except ProviderError as error:
        return error
