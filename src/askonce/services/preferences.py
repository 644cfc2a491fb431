"""Users' preferences, held in memory: a cache hit cannot afford to read them from the database.

What is held is a guess that every process checks twice a second: a change made elsewhere is
noticed within a second, one that is made here at once.
"""

import threading
from collections.abc import Iterable

from askonce.core.access import Caller
from askonce.core.clock import Clock
from askonce.core.events import Action
from askonce.core.ports import Database, Ledger, Transaction
from askonce.core.preferences import NO_WISHES, Wishes
from askonce.services.booking import Reads, done
from askonce.services.defaults import Defaults
from askonce.telemetry import log

_ROUND_SECONDS = 0.5
_MOST_USERS = 50_000


class Preferences:
    """What users want where their requests leave it open."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        defaults: Defaults,
        reads: Reads,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._defaults = defaults
        self._reads = reads
        self._clock = clock
        self._known: dict[tuple[str, str], Wishes] = {}
        # Grows whenever something is forgotten: what was read before that is not held any more.
        self._generation = 0
        self._version: int | None = None
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="preferences", daemon=True)

    def start(self) -> None:
        self._refresh()
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def known(self, tenant: str, user_id: str) -> Wishes | None:
        """Return a user's preferences without waiting for anything; None where that needs `of`.

        A user who has none has `NO_WISHES`.
        """
        return self._known.get((tenant, user_id))

    def of(self, tenant: str, user_id: str) -> Wishes:
        """Return a user's preferences, from the database if need be."""
        known = self.known(tenant, user_id)
        if known is not None:
            return known
        generation = self._generation
        with self._database.reading() as tx:
            found = tx.preferences.of(tenant, user_id) or NO_WISHES
        with self._lock:
            if generation == self._generation:
                if len(self._known) >= _MOST_USERS:
                    del self._known[next(iter(self._known))]
                self._known[tenant, user_id] = found
        return found

    def read(self, caller: Caller, user_id: str) -> Wishes:
        """Return a user's preferences to somebody who wants to see them."""
        found = self.of(caller.tenant, user_id)
        self._reads.book(caller, Action.PREFERENCES_READ, user_id=user_id)
        return found

    def put(self, caller: Caller, user_id: str, wishes: Wishes) -> Wishes:
        """Replace a user's preferences.

        Raises:
            UnknownProviderError: they name a provider that is not configured.
            InvalidFieldsError: the provider does not have the model.
        """
        self._defaults.chosen(wishes)
        at = self._clock.now()
        tenant = caller.tenant

        def put(tx: Transaction) -> None:
            if wishes == NO_WISHES:
                tx.preferences.remove(tenant, user_id)
            else:
                tx.preferences.put(tenant, user_id, wishes, at=at)
            tx.book(done(caller, Action.PREFERENCES_PUT, at=at, user_id=user_id))

        self._ledger.write(put).result()
        self._forget([(tenant, user_id)])
        return wishes

    def forget(self, tenant: str, user_id: str) -> None:
        """Hold a user's preferences no longer: they were erased."""
        self._forget([(tenant, user_id)])

    def _run(self) -> None:
        is_well = True
        while not self._is_over.wait(_ROUND_SECONDS):
            try:
                self._refresh()
            except Exception as error:  # noqa: BLE001 - without this thread nothing would be noticed
                if is_well:
                    log.warning("preferences_not_refreshed", error=type(error).__name__)
                is_well = False
            else:
                if not is_well:
                    log.info("preferences_refreshed")
                is_well = True

    def _refresh(self) -> None:
        with self._database.reading() as tx:
            news = tx.preferences.news(self._version)
        if news.is_all:
            self._forget(list(self._known))
        elif news.users:
            self._forget(news.users)
        self._version = news.version

    def _forget(self, users: Iterable[tuple[str, str]]) -> None:
        with self._lock:
            self._generation += 1
            for user in users:
                self._known.pop(user, None)
