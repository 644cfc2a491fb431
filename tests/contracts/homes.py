"""A database, a spool beside it, and what a process finds there when it starts."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from askonce.core.caching import Accepted
from askonce.core.flights import Lease
from askonce.core.ports import HistoryFilter
from askonce.core.purchases import Purchase
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.ledger import GroupCommitLedger
from askonce.db.rows import AttemptRow
from askonce.db.spool import FileSpool
from askonce.services.recovery import Recovery
from tests.contracts.recalling import recall
from tests.examples import ALICE, ANY_FRESH, BOB, CALLER, DAY, KEY, NOW, a_purchase
from tests.fakes.clock import FakeClock

GIVEN_UP_AFTER = timedelta(minutes=7)


class KnownProcesses:
    """Implements the port `Liveness`: everybody is what the name says."""

    def is_dead(self, owner: str) -> bool:
        return owner.startswith("dead")

    def is_alive(self, owner: str) -> bool:
        return owner.startswith("alive")


class Home:
    """A database with a spool beside it, and a process that starts on them."""

    def __init__(self, database: SqlDatabase, ledger: GroupCommitLedger, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.spool = FileSpool(folder)
        self.clock = FakeClock()
        self.recovery = Recovery(
            database=database,
            ledger=ledger,
            spool=self.spool,
            liveness=KnownProcesses(),
            clock=self.clock,
            owner="self",
            cache_ttl=DAY,
            given_up_after=GIVEN_UP_AFTER,
        )

    def start(self) -> None:
        self.recovery.start()

    def left_behind(self, owner: str = "dead", **changes: Any) -> Purchase:
        """Let a process claim the question, call, spool the answer and get no further."""
        with self.database.transaction() as tx:
            purchase = a_purchase(owner=owner, **changes)
            if purchase.has_lease:
                lease = claimed(tx, owner)
            else:
                lease = Lease(fingerprint=KEY, epoch=0, fence=0)
            purchase = replace(purchase, lease=lease, attempt_id=opened(tx, lease, owner))
        self.spool.put(purchase)
        return purchase

    def attempts(self) -> list[tuple[str, int | None]]:
        """Return outcome and known output tokens of all calls, the oldest first."""
        columns = select(AttemptRow.outcome, AttemptRow.tokens_out).order_by(AttemptRow.id)
        with self.database.reading() as tx:
            return [(row.outcome, row.tokens_out) for row in tx.connection.execute(columns)]

    def history(self) -> list[str]:
        with self.database.reading() as tx:
            rows = tx.analyses.newest(CALLER, "alice", HistoryFilter()).items
        return [row.answer.text for row in rows]

    def hit(self, now: datetime = NOW) -> str | None:
        with self.database.transaction() as tx:
            kept = recall(tx, BOB, now)
        return None if kept is None else kept.analysis.answer.text


def claimed(tx: SqlTransaction, owner: str, accepted: Accepted = ANY_FRESH) -> Lease:
    lease = tx.flights.claim(KEY, tenant="default", owner=owner, accepted=accepted)
    assert lease is not None
    return lease


def opened(tx: SqlTransaction, lease: Lease, owner: str, at: datetime = NOW) -> int:
    return tx.attempts.open(ALICE, lease, owner=owner, provider="claude", model="m", at=at)
