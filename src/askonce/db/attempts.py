"""The record of every provider call: what a crash left open stays visible."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from askonce.core.access import Asker
from askonce.core.answers import Answer
from askonce.core.attempts import Outcome
from askonce.core.flights import Lease
from askonce.db.rows import AttemptRow


@dataclass(frozen=True, slots=True)
class SqlAttempts:
    """The attempts of all users."""

    connection: Connection

    def open(
        self, asker: Asker, lease: Lease, *, owner: str, provider: str, model: str, at: datetime
    ) -> int:
        """Write the intent to call a provider, and return the attempt's id."""
        statement = insert(AttemptRow).values(
            tenant=asker.tenant,
            user_id=asker.user_id,
            fingerprint=lease.fingerprint,
            epoch=lease.epoch,
            fence=lease.fence,
            owner=owner,
            provider=provider,
            model=model,
            outcome=Outcome.OPEN.value,
            started_at=at,
        )
        return self.connection.execute(statement.returning(AttemptRow.id)).scalar_one()

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
        self.connection.execute(
            update(AttemptRow)
            .where(AttemptRow.id == attempt_id)
            .values(
                outcome=outcome.value,
                reason=reason,
                answer_id=answer_id,
                tokens_in=None if answer is None else answer.tokens_in,
                tokens_out=None if answer is None else answer.tokens_out,
                cost=None if answer is None else answer.cost,
                finished_at=at,
            )
        )

    def abandon(self, fingerprint: bytes, *, owner: str, at: datetime) -> None:
        """Settle what a dead process left open: nobody will ever know what it cost."""
        self.connection.execute(
            update(AttemptRow)
            .where(
                AttemptRow.fingerprint == fingerprint,
                AttemptRow.owner == owner,
                AttemptRow.outcome == Outcome.OPEN.value,
            )
            .values(outcome=Outcome.UNKNOWN.value, reason="process died", finished_at=at)
        )

    def bought(self, attempt_id: int) -> int | None:
        """Return the answer that this attempt was settled with, if it was."""
        return self.connection.execute(
            select(AttemptRow.answer_id).where(AttemptRow.id == attempt_id)
        ).scalar_one_or_none()
