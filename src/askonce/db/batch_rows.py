"""The tables of what vendors answer in batches. `docs/batch.md` says how they are used."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from askonce.db.columns import Id, UtcDateTime
from askonce.db.rows import Row

_WAITS = text("state = 'waiting'")


class BatchRow(Row):
    """One batch: written before it is sent, and found again at the vendor by its token."""

    __tablename__ = "provider_batches"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'sending', 'sent', 'over')", name="state"),
        CheckConstraint("lines >= 0 AND size >= 0", name="sizes"),
        Index(None, "tenant", "state"),
        Index(None, "provider", "remote_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    run: Mapped[str] = mapped_column(String(64))
    token: Mapped[str] = mapped_column(String(64))
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(128))
    state: Mapped[str] = mapped_column(String(8))
    # The process that sends it: as long as it lives, nobody else wonders whether it has arrived.
    owner: Mapped[str] = mapped_column(String(64))
    remote_id: Mapped[str | None] = mapped_column(String(128))
    lines: Mapped[int] = mapped_column(BigInteger)
    # Of all questions, in bytes.
    size: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class BatchLineRow(Row):
    """One line of a run, from when it was resolved until its record is written."""

    __tablename__ = "provider_batch_lines"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'answered', 'failed')", name="state"),
        Index(None, "tenant", "run", "number", unique=True),
        Index(None, "tenant", "user_id"),
        Index(None, "batch_id", "id"),
        Index(None, "leader_id"),
        Index(
            "ix_provider_batch_lines_waiting",
            "tenant",
            "fingerprint",
            sqlite_where=_WAITS,
            postgresql_where=_WAITS,
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    # Empty once the user has been erased.
    user_id: Mapped[str] = mapped_column(String(128))
    era: Mapped[int | None] = mapped_column(BigInteger)
    run: Mapped[str] = mapped_column(String(64))
    number: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    state: Mapped[str] = mapped_column(String(8))
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("provider_batches.id"), type_=Id)
    # Not a foreign key: both are removed together, in portions.
    leader_id: Mapped[int | None] = mapped_column(Id)
    # Not foreign keys: calls and history are removed when they are old, or by their users.
    attempt_id: Mapped[int | None] = mapped_column(Id)
    analysis_id: Mapped[int | None] = mapped_column(Id)
    epoch: Mapped[int] = mapped_column(BigInteger)
    # What is asked, as JSON, for as long as the line waits.
    question: Mapped[str | None] = mapped_column(Text)
    failure: Mapped[str | None] = mapped_column(String(64))
