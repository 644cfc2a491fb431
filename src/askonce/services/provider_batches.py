"""Has vendors answer questions within a day, at half the price, and pays for none of them twice.

Everything is written down before it is done. A line that has no answer yet is written with its
call and with what is held for it; a batch is marked as being sent before it is sent. Whoever finds
such a mark of a process that died asks the vendor whether the batch has arrived, and only where it
certainly has not is it sent again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice

from askonce.core.access import Caller
from askonce.core.answers import Analysis
from askonce.core.caching import CLOCK_SKEW, CacheRules
from askonce.core.clock import Clock
from askonce.core.errors import (
    BudgetExceededError,
    FieldError,
    InvalidFieldsError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.flights import Lease
from askonce.core.landings import Asked
from askonce.core.ports import Database, Ledger, Liveness, Transaction
from askonce.core.provider_batches import (
    Batch,
    BatchProvider,
    BatchState,
    BatchUnsureError,
    Line,
    LineState,
    NewLine,
    name_of,
    owner_of,
)
from askonce.core.questions import Question
from askonce.core.requests import Request
from askonce.services.analyses import Analyses, Draft
from askonce.services.batch_collecting import Collecting
from askonce.services.budgets import Bill, Budgets, held
from askonce.services.giving import Given, Giver
from askonce.services.preferences import Preferences
from askonce.telemetry import log

_PORTION = 50
# Mended by whoever has the key; the batch can be sent then.
_OURS = frozenset({"http-401", "http-403", "quota"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One line of a run: what it asks, and who."""

    number: int
    digest: str
    request: Request = field(repr=False)


class ProviderBatching:
    """The batches of one tenant.

    `owner` is this process. A batch that a dead process was sending is not judged before
    `arrival`: so long after it was marked it may be underway, and then arrive.
    """

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        liveness: Liveness,
        analyses: Analyses,
        preferences: Preferences,
        budgets: Budgets,
        vendors: Mapping[str, BatchProvider],
        clock: Clock,
        caller: Caller,
        owner: str,
        cache_ttl: timedelta,
        arrival: timedelta,
        new_token: Callable[[], str],
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._liveness = liveness
        self._analyses = analyses
        self._preferences = preferences
        self._budgets = budgets
        self._vendors = vendors
        self._clock = clock
        self._tenant = caller.tenant
        self._caller = caller
        self._owner = owner
        self._arrival = arrival
        self._new_token = new_token
        self._giver = Giver(clock)
        self._collecting = Collecting(
            ledger=ledger, budgets=budgets, clock=clock, tenant=caller.tenant, cache_ttl=cache_ttl
        )

    def request(self, user_id: str, draft: Draft, *, is_refresh: bool) -> Request:
        """Return what is asked for a user, filled in as everywhere.

        Raises:
            UnknownProviderError: the draft names a provider that is not configured.
            InvalidFieldsError: it cannot be asked, or not in a batch.
        """
        question = self._analyses.question(draft, self._preferences.of(self._tenant, user_id))
        if question.provider not in self._vendors:
            message = f"{question.provider} takes no batches"
            raise InvalidFieldsError(FieldError("provider", message))
        rules = CacheRules(no_cache=is_refresh)
        return self._analyses.request(self._caller, user_id, question, rules=rules)

    def known(self, run: str, number: int) -> Line | None:
        """Return a line of a run as it stands, if it has been written down."""
        with self._database.reading() as tx:
            return tx.provider_batches.known(self._tenant, run, [number]).get(number)

    def analysis(self, line: Line) -> Analysis | None:
        """Return what a line was given; None where that has been deleted since."""
        if line.analysis_id is None:
            return None
        with self._database.reading() as tx:
            return tx.analyses.one(self._caller, line.asker.user_id, line.analysis_id)

    def waiting(self, run: str) -> int:
        """Return how many lines of a run have no answer yet."""
        with self._database.reading() as tx:
            return tx.provider_batches.waiting(self._tenant, run)

    def forget(self, run: str) -> None:
        """Remove what is held of a run whose records are written."""
        self._ledger.write(lambda tx: tx.provider_batches.forget(self._tenant, run)).result()

    def add(self, run: str, wanted: Iterable[Wanted]) -> None:
        """Give the lines of a run what is in the cache, and put the others into batches.

        Lines that are written down already are passed over. Batches that are full are sent.

        Raises:
            BudgetExceededError: the next line could pass a budget; those before it are in.
            ProviderError: as `send`.
        """
        for portion in _portions(wanted):
            refusal = self._write_down(run, portion)
            for batch in self._mine(run):
                vendor = self._vendors[batch.provider]
                if batch.lines >= vendor.most_lines or batch.size >= vendor.most_bytes:
                    self._send(batch)
            if refusal is not None:
                raise refusal

    def send(self, run: str) -> None:
        """Send all batches of a run that are being filled.

        Raises:
            ProviderError: a vendor took one not; its lines have failed where it never will.
        """
        for batch in self._mine(run):
            self._send(batch)

    def find(self) -> Sequence[BatchUnsureError]:
        """Find out whether what dead processes were sending has arrived.

        What has not can be sent again, with the run that it belongs to. Returns why that cannot be
        told yet, of each batch of which it cannot.

        Raises:
            ProviderError: a vendor does not answer.
        """
        unsure = []
        for batch in self._unfinished():
            if batch.state is BatchState.SENDING and batch.owner != self._owner:
                try:
                    self._find(batch)
                except BatchUnsureError as error:
                    unsure.append(error)
        return unsure

    def collect(self) -> None:
        """Keep the answers of all batches that are over.

        Raises:
            ProviderError: a vendor does not answer.
        """
        for batch in self._unfinished():
            if batch.state is BatchState.SENT and batch.provider in self._vendors:
                self._collecting.collect(batch, self._vendors[batch.provider])
        self._collecting.give_followers()

    def _unfinished(self) -> Sequence[Batch]:
        with self._database.reading() as tx:
            return tx.provider_batches.unfinished(self._tenant)

    def _mine(self, run: str) -> list[Batch]:
        is_mine = (BatchState.OPEN, run)
        return [one for one in self._unfinished() if (one.state, one.run) == is_mine]

    def _write_down(self, run: str, portion: Sequence[Wanted]) -> BudgetExceededError | None:
        bills = {
            one.number: self._budgets.bill(one.request.asker, one.request.question)
            for one in portion
        }
        budget_ids = {budget_id for bill in bills.values() for budget_id in bill.budget_ids}

        def work(tx: Transaction) -> BudgetExceededError | None:
            known = tx.provider_batches.known(self._tenant, run, [one.number for one in portion])
            new = [one for one in portion if one.number not in known]
            recalled = self._giver.recall(tx, [one.request for one in new])
            refusal: BudgetExceededError | None = None
            for one, found in zip(new, recalled, strict=True):
                if found.given is not None:
                    self._add_given(tx, run, one, found.given)
                elif refusal is None:
                    asker = replace(one.request.asker, era=found.era)
                    wanted = replace(one, request=replace(one.request, asker=asker))
                    refusal = self._add_waiting(tx, run, wanted, bills[one.number])
            return refusal

        return self._ledger.write(work, budgets=sorted(budget_ids)).result()

    def _add_given(self, tx: Transaction, run: str, wanted: Wanted, given: Given) -> None:
        """Write down a line whose answer was in the cache."""
        request = wanted.request
        tx.provider_batches.add(
            NewLine(
                run=run,
                number=wanted.number,
                digest=wanted.digest,
                asker=request.asker,
                fingerprint=request.fingerprint,
                state=LineState.ANSWERED,
                analysis_id=given.analysis.id if isinstance(given, Asked) else None,
            )
        )

    def _add_waiting(
        self, tx: Transaction, run: str, wanted: Wanted, bill: Bill
    ) -> BudgetExceededError | None:
        """Write down a line that has to be asked for; a call of its own, if nobody makes it yet."""
        request = wanted.request
        question, fingerprint = request.question, request.fingerprint
        line = NewLine(
            run=run,
            number=wanted.number,
            digest=wanted.digest,
            asker=request.asker,
            fingerprint=fingerprint,
            state=LineState.WAITING,
            question=question,
            leader=tx.provider_batches.leader(self._tenant, run, fingerprint),
        )
        if line.leader is not None:
            tx.provider_batches.add(replace(line, question=None))
            return None
        holds = held(tx, bill)
        if isinstance(holds, BudgetExceededError):
            return holds
        now = self._clock.now()
        seen = tx.flights.read([fingerprint]).get(fingerprint)
        lease = Lease(fingerprint=fingerprint, epoch=0 if seen is None else seen.epoch, fence=0)
        batch_id = tx.provider_batches.filling(
            self._tenant,
            run,
            provider=question.provider,
            model=question.model,
            token=self._new_token(),
            at=now,
        )
        attempt_id = tx.attempts.open(
            request.asker,
            lease,
            owner=owner_of(batch_id),
            provider=question.provider,
            model=question.model,
            at=now,
            is_budgeted=bool(holds),
        )
        if holds:
            tx.budgets.note(attempt_id, holds)
        tx.provider_batches.add(
            replace(line, batch_id=batch_id, attempt_id=attempt_id, epoch=lease.epoch)
        )
        return None

    def _send(self, batch: Batch) -> None:
        vendor = self._vendors[batch.provider]
        if not self._mark_sending(batch):
            return
        batch = replace(batch, state=BatchState.SENDING, owner=self._owner)
        try:
            # No transaction is open here: it may take minutes.
            remote_id = vendor.send(batch.token, self._questions(batch))
        except ProviderRejectedError as error:
            if error.reason in _OURS:
                self._move(batch, BatchState.OPEN)
                raise
            log.warning("batch_rejected", provider=batch.provider, reason=error.reason)
            self._collecting.fail(batch, error)
            return
        except ProviderUnavailableError as error:
            if not error.may_be_paid:
                self._move(batch, BatchState.OPEN)
            raise
        except ProviderError:
            self._move(batch, BatchState.OPEN)
            raise
        self._move(batch, BatchState.SENT, remote_id=remote_id)
        log.info("batch_sent", provider=batch.provider, lines=batch.lines)

    def _mark_sending(self, batch: Batch) -> bool:
        now = self._clock.now()

        def mark(tx: Transaction) -> bool:
            found = tx.provider_batches.batch(batch.id)
            if found is None or found.state is not BatchState.OPEN:
                return False
            tx.provider_batches.move(batch.id, BatchState.SENDING, owner=self._owner, sent_at=now)
            return True

        return self._ledger.write(mark).result()

    def _move(self, batch: Batch, state: BatchState, *, remote_id: str | None = None) -> bool:
        """Note what became of a batch that `batch.owner` was sending, unless somebody else has.

        Of two heirs one may have sent it again by now; to open it once more would pay twice.
        """

        def move(tx: Transaction) -> bool:
            found = tx.provider_batches.batch(batch.id)
            is_as_seen = (
                found is not None
                and found.state is BatchState.SENDING
                and found.owner == batch.owner
            )
            if is_as_seen:
                tx.provider_batches.move(batch.id, state, remote_id=remote_id)
            return is_as_seen

        return self._ledger.write(move).result()

    def _questions(self, batch: Batch) -> Iterator[tuple[str, Question]]:
        after = 0
        while True:
            with self._database.reading() as tx:
                lines = tx.provider_batches.lines(batch.id, after=after, limit=_PORTION)
            if not lines:
                return
            for line in lines:
                # Of a user who was erased there is none.
                if line.question is not None:
                    yield name_of(batch.token, line.id), line.question
            after = lines[-1].id

    def _find(self, batch: Batch) -> None:
        if self._liveness.is_alive(batch.owner):
            raise BatchUnsureError(batch.provider, "another process is just sending it")
        vendor = self._vendors.get(batch.provider)
        if vendor is None:
            raise BatchUnsureError(batch.provider, "its key is not set")
        sent_at = batch.sent_at or self._clock.now()
        if self._clock.now() < sent_at + self._arrival:
            raise BatchUnsureError(batch.provider, "it was sent a moment ago, and may yet arrive")
        with self._database.reading() as tx:
            others = tx.provider_batches.remote_ids(batch.provider)
        remote_id = vendor.find(
            batch.token, lines=batch.lines, since=sent_at - CLOCK_SKEW, others=others
        )
        state = BatchState.OPEN if remote_id is None else BatchState.SENT
        if self._move(batch, state, remote_id=remote_id):
            has_arrived = remote_id is not None
            log.warning("batch_looked_for", provider=batch.provider, has_arrived=has_arrived)


def _portions(wanted: Iterable[Wanted]) -> Iterator[Sequence[Wanted]]:
    each = iter(wanted)
    while portion := list(islice(each, _PORTION)):
        yield portion
