"""Brings home what was paid for and not committed, and books the calls that the dead left open."""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from askonce.core.attempts import Outcome
from askonce.core.caching import ALWAYS, NEVER
from askonce.core.clock import Clock
from askonce.core.errors import AskonceError
from askonce.core.ports import Database, Ledger, Liveness, Spool, Transaction
from askonce.core.provider_batches import is_in_batch
from askonce.core.purchases import Purchase
from askonce.services.booking import book_abandoned
from askonce.services.keeping import adopt
from askonce.telemetry import log

_RETRY_SECONDS = 1.0
_ROUND_SECONDS = 60.0


class Recovery:
    """Looks at what was left behind: once before the process takes requests, then every minute.

    What this process itself could not commit is tried again every second.
    """

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        spool: Spool,
        liveness: Liveness,
        clock: Clock,
        owner: str,
        cache_ttl: timedelta,
        given_up_after: timedelta,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._spool = spool
        self._liveness = liveness
        self._clock = clock
        self._owner = owner
        self._cache_ttl = cache_ttl
        # After so long a process that we know nothing of is at work on a call no more.
        self._given_up_after = given_up_after
        self._parked: dict[int, Purchase] = {}
        self._unsettled: list[Callable[[Transaction], object]] = []
        self._has_news = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._look_around()
        self._thread = threading.Thread(target=self._run, name="recovery", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_closing = True
        self._has_news.set()
        if self._thread is not None:
            self._thread.join()

    def park(self, purchase: Purchase) -> None:
        """Take on an answer of this process that could not be committed in good time."""
        self._parked[purchase.attempt_id] = purchase
        self._has_news.set()

    def parked(self) -> int:
        """Return how many answers of this process wait for the database."""
        return len(self._parked)

    def settle_later(self, work: Callable[[Transaction], object]) -> None:
        """Write how a call of this process ended, as soon as the database can be written again."""
        self._unsettled.append(work)
        self._has_news.set()

    def recovered(self, fingerprint: bytes) -> bool:
        """Commit the answers to one question that were left behind; False if there are none.

        Raises:
            DatabaseUnavailableError: they could not be committed now either.
        """
        parked = [one for one in self._parked.values() if one.lease.fingerprint == fingerprint]
        spooled = [one for one in self._spool.waiting(fingerprint) if self._is_left_behind(one)]
        for purchase in (*parked, *spooled):
            self._bring_home(purchase)
        return bool(parked or spooled)

    def book(self, tenant: str, user_id: str) -> int:
        """Settle the answers of a user that were left behind, and return how many that were.

        For an erasure that has begun: they are booked as paid for, and not kept.

        Raises:
            DatabaseUnavailableError: that could not be done now.
        """
        parked = list(self._parked.values())
        spooled = [one for one in self._spool.waiting() if self._is_left_behind(one)]
        theirs = [
            one
            for one in (*parked, *spooled)
            if (one.asker.tenant, one.asker.user_id) == (tenant, user_id)
        ]
        for purchase in theirs:
            self._bring_home(purchase)
        return len(theirs)

    def _run(self) -> None:
        while not self._is_closing:
            has_own = self._parked or self._unsettled
            self._has_news.wait(_RETRY_SECONDS if has_own else _ROUND_SECONDS)
            self._has_news.clear()
            try:
                if not self._is_closing:
                    self._look_around()
            except Exception as error:  # noqa: BLE001 - without this thread nothing would come home
                log.error("recovery_failed", error=type(error).__name__)

    def _look_around(self) -> None:
        # A database that is away will be asked again, soon enough.
        with suppress(AskonceError):
            for work in list(self._unsettled):
                self._ledger.write(work).result()
                self._unsettled.remove(work)
            for purchase in list(self._parked.values()):
                self._bring_home(purchase)
            for purchase in self._spool.waiting():
                if self._is_left_behind(purchase):
                    self._bring_home(purchase)
            # Last: what has come home is unknown no more.
            self._book_open_attempts()

    def _is_left_behind(self, purchase: Purchase) -> bool:
        if purchase.owner == self._owner:
            return False
        return purchase.at < self._abandoned_before(purchase.owner)

    def _abandoned_before(self, owner: str) -> datetime:
        """Return until when what a process began is certainly not its business any more."""
        if is_in_batch(owner):
            # It may take a day, and lives at the vendor: whoever collects it settles it.
            return ALWAYS
        if self._liveness.is_dead(owner):
            return NEVER
        if self._liveness.is_alive(owner):
            return ALWAYS
        return self._clock.now() - self._given_up_after

    def _bring_home(self, purchase: Purchase) -> None:
        def work(tx: Transaction) -> Outcome | None:
            return adopt(tx, purchase, cache_ttl=self._cache_ttl, now=self._clock.now())

        try:
            outcome = self._ledger.write(work, key=purchase.lease.fingerprint).result()
        except AskonceError:
            raise
        except Exception as error:  # noqa: BLE001 - one bad file must not stop all others
            log.error("paid_answer_refused", error=type(error).__name__)
            self._spool.set_aside(purchase)
        else:
            self._spool.drop(purchase)
            log.warning("paid_answer_recovered", outcome=outcome and outcome.value)
        self._parked.pop(purchase.attempt_id, None)

    def _book_open_attempts(self) -> None:
        with self._database.reading() as tx:
            owners = [owner for owner in tx.attempts.owners_of_open() if owner != self._owner]
        limits = {owner: self._abandoned_before(owner) for owner in owners}
        if all(limit == ALWAYS for limit in limits.values()):
            return

        def book(tx: Transaction) -> int:
            now = self._clock.now()
            left = [
                attempt
                for owner, limit in sorted(limits.items())
                for attempt in tx.attempts.abandon_all(owner, started_before=limit, at=now)
            ]
            book_abandoned(tx, left, at=now)
            return len(left)

        found = self._ledger.write(book).result()
        if found:
            log.warning("attempts_found_open", count=found)
