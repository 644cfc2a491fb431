"""The record of every provider call: what a crash left open stays visible."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from askonce.core.access import Asker
from askonce.core.answers import Answer
from askonce.core.attempts import Attempt, Outcome
from askonce.core.flights import Lease
from askonce.db import holds
from askonce.db.columns import UtcDateTime
from askonce.db.holds import Charge
from askonce.db.money_rows import ReservationRow
from askonce.db.prepared import Prepared
from askonce.db.rows import AttemptRow

# Written out, not bound: SQLite uses a partial index only where it can see that it applies.
_OPEN: ColumnElement[str] = literal_column(f"'{Outcome.OPEN.value}'")

# The user of a call after an erasure.
ANONYMOUS = ""

# Why an attempt ended that its own process did not settle.
DIED = "process died"

_IS_IT = AttemptRow.id == bindparam("attempt_id")

# Built once: building a statement takes longer than running it.
_WRITE = Prepared(insert(AttemptRow).values(outcome=Outcome.OPEN.value).returning(AttemptRow.id))
_COLUMNS = (
    AttemptRow.id,
    AttemptRow.tenant,
    AttemptRow.user_id,
    AttemptRow.key_id,
    AttemptRow.request_id,
    AttemptRow.provider,
    AttemptRow.model,
    AttemptRow.outcome,
    AttemptRow.reason,
    AttemptRow.answer_id,
    AttemptRow.finished_at,
)
_LOCKED = Prepared(select(*_COLUMNS).where(_IS_IT).with_for_update())
_SETTLE = Prepared(update(AttemptRow).where(_IS_IT).returning(AttemptRow.is_budgeted))
_IS_OPEN_OF = (AttemptRow.owner == bindparam("of_owner"), AttemptRow.outcome == _OPEN)
_ABANDONED = (*_IS_OPEN_OF, AttemptRow.fingerprint == bindparam("of_question"))
_ALL_ABANDONED = (
    *_IS_OPEN_OF,
    AttemptRow.started_at < bindparam("started_before", type_=UtcDateTime),
)
_UNKNOWN = {AttemptRow.outcome: Outcome.UNKNOWN.value, AttemptRow.reason: DIED}
_ABANDON = update(AttemptRow).where(*_ABANDONED).values(_UNKNOWN).returning(*_COLUMNS)
_ABANDON_ALL = update(AttemptRow).where(*_ALL_ABANDONED).values(_UNKNOWN).returning(*_COLUMNS)
_CHARGE_ABANDONED, _CHARGE_ALL_ABANDONED = (
    Charge(ReservationRow.attempt_id.in_(select(AttemptRow.id).where(*which)))
    for which in (_ABANDONED, _ALL_ABANDONED)
)


@dataclass(frozen=True, slots=True)
class SqlAttempts:
    """The attempts of all users."""

    connection: Connection

    def open(
        self,
        asker: Asker,
        lease: Lease,
        *,
        owner: str,
        provider: str,
        model: str,
        at: datetime,
        is_budgeted: bool = False,
    ) -> int:
        """Write the intent to call a provider, and return the attempt's id."""
        written = _WRITE.one(
            self.connection,
            {
                "tenant": asker.tenant,
                "user_id": asker.user_id,
                "key_id": asker.key_id,
                "request_id": asker.request_id or None,
                "fingerprint": lease.fingerprint,
                "epoch": lease.epoch,
                "fence": lease.fence,
                "owner": owner,
                "provider": provider,
                "model": model,
                "started_at": at,
                "is_budgeted": is_budgeted or None,
            },
        )
        attempt_id: int = written.id
        return attempt_id

    def settle(
        self,
        attempt_id: int,
        outcome: Outcome,
        *,
        at: datetime,
        reason: str | None = None,
        answer: Answer | None = None,
        answer_id: int | None = None,
    ) -> None:
        """Write how a call ended, and what it is known to have cost."""
        settled = _SETTLE.row(
            self.connection,
            {
                "attempt_id": attempt_id,
                "outcome": outcome.value,
                "reason": reason,
                "answer_id": answer_id,
                "tokens_in": None if answer is None else answer.tokens_in,
                "tokens_out": None if answer is None else answer.tokens_out,
                "cost": None if answer is None else answer.cost,
                "finished_at": at,
            },
        )
        if settled is not None and settled.is_budgeted:
            holds.settle(self.connection, attempt_id, outcome, answer)

    def locked(self, attempt_id: int) -> Attempt | None:
        """Return one call; nobody else settles it until this transaction ends."""
        row = _LOCKED.row(self.connection, {"attempt_id": attempt_id})
        return None if row is None else _attempt(row)

    def abandon(self, fingerprint: bytes, *, owner: str, at: datetime) -> Sequence[Attempt]:
        """Settle and return what a dead process left open: nobody will ever know what it cost."""
        which: dict[str, object] = {"of_owner": owner, "of_question": fingerprint}
        _CHARGE_ABANDONED.make(self.connection, which)
        rows = self.connection.execute(_ABANDON, which | {"finished_at": at})
        return [_attempt(row) for row in rows]

    def abandon_all(
        self, owner: str, *, started_before: datetime, at: datetime
    ) -> Sequence[Attempt]:
        """Settle and return all that a process left open."""
        which: dict[str, object] = {"of_owner": owner, "started_before": started_before}
        _CHARGE_ALL_ABANDONED.make(self.connection, which)
        rows = self.connection.execute(_ABANDON_ALL, which | {"finished_at": at})
        return [_attempt(row) for row in rows]

    def owners_of_open(self) -> Sequence[str]:
        """Return the processes that have calls open, or died with some."""
        return self.connection.scalars(
            select(AttemptRow.owner).where(AttemptRow.outcome == _OPEN).distinct()
        ).all()

    def outcome(self, attempt_id: int, lease: Lease, *, owner: str) -> Outcome | None:
        """Return how this very call stands; None when it was never written here.

        Nobody else settles it until this transaction ends.
        """
        found = self.connection.execute(
            select(AttemptRow.outcome)
            .where(
                AttemptRow.id == attempt_id,
                AttemptRow.owner == owner,
                or_(AttemptRow.fingerprint == lease.fingerprint, AttemptRow.user_id == ANONYMOUS),
                AttemptRow.epoch == lease.epoch,
            )
            .with_for_update()
        ).scalar_one_or_none()
        return None if found is None else Outcome(found)


def _attempt(row: Any) -> Attempt:
    return Attempt(
        id=row.id,
        tenant=row.tenant,
        user_id=row.user_id,
        key_id=row.key_id,
        request_id=row.request_id or "",
        provider=row.provider,
        model=row.model,
        outcome=Outcome(row.outcome),
        reason=row.reason,
        answer_id=row.answer_id,
        finished_at=row.finished_at,
    )
