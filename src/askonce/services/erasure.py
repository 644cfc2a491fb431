"""Erases everything about a user: from the tables, the spool and this process's memory."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from askonce.core.access import Caller
from askonce.core.clock import Clock
from askonce.core.erasure import Receipt, Spooled
from askonce.core.errors import DatabaseUnavailableError
from askonce.core.events import Action
from askonce.core.ports import Database
from askonce.services.booking import done
from askonce.services.preferences import Preferences
from askonce.services.recovery import Recovery
from askonce.telemetry import log

T = TypeVar("T")

# Deadlocks and timeouts: an erasure locks more than any request does.
_TRIES = 3


class Erasure:
    """Erases users."""

    def __init__(
        self,
        *,
        database: Database,
        spool: Spooled,
        recovery: Recovery,
        preferences: Preferences,
        clock: Clock,
    ) -> None:
        self._database = database
        self._spool = spool
        self._recovery = recovery
        self._preferences = preferences
        self._clock = clock

    def erase(self, caller: Caller, user_id: str) -> Receipt:
        """Erase a user; of one that is not known there is nothing to erase, which is no error.

        What of the user's is under way, here or elsewhere, comes to nothing: it cannot write any
        more once the new era is committed. Should this process die after that, nothing is half
        erased, and the next erasure finds everything.

        Raises:
            DatabaseUnavailableError: the database did not answer in time; nothing was erased.
        """
        tenant = caller.tenant
        _again(lambda: self._begin(tenant, user_id))
        booked = self._recovery.book(tenant, user_id)
        receipt = _again(lambda: self._erase(caller, user_id))
        # Last: an answer that came meanwhile was in a file before its commit failed.
        dropped = self._spool.forget(tenant, user_id)
        self._preferences.forget(tenant, user_id)
        log.info("user_erased", request_id=caller.request_id, **receipt.deleted)
        spooled = {"spooled_answers": booked + dropped}
        return replace(receipt, deleted={**receipt.deleted, **spooled})

    def _begin(self, tenant: str, user_id: str) -> None:
        with self._database.transaction() as tx:
            tx.erasures.begin(tenant, user_id, at=self._clock.now())

    def _erase(self, caller: Caller, user_id: str) -> Receipt:
        now = self._clock.now()
        # Past the ledger: no request waits in one transaction with this one.
        with self._database.transaction() as tx:
            receipt = tx.erasures.erase(caller.tenant, user_id, at=now)
            counts = {**receipt.deleted, **receipt.anonymised}
            tx.book(done(caller, Action.USER_ERASE, at=now, user_id=user_id, **counts))
            return receipt


def _again(step: Callable[[], T]) -> T:
    """Take a step that may be undone, a few times."""
    for _ in range(_TRIES - 1):
        with suppress(DatabaseUnavailableError):
            return step()
    return step()
