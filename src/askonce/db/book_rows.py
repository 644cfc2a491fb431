"""The tables of the books: the audit trail, its seals, and what was spent and saved each day."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from askonce.db.columns import Id, Usd, UtcDateTime
from askonce.db.rows import Row


class EventRow(Row):
    """One thing that touched data or money. Rows are only ever added; triggers see to it.

    A new column belongs into the canonical bytes of `db/events.py`, behind the others. An index
    would be written to with each hit, and few ever look for something here: there is none.
    """

    __tablename__ = "audit_events"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    tenant: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(16))
    user_id: Mapped[str | None] = mapped_column(String(128))
    key_id: Mapped[int | None] = mapped_column(Id)
    request_id: Mapped[str | None] = mapped_column(String(128))
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(128))
    tokens_in: Mapped[int | None] = mapped_column(BigInteger)
    tokens_out: Mapped[int | None] = mapped_column(BigInteger)
    cost: Mapped[Decimal | None] = mapped_column(Usd)
    digest: Mapped[str | None] = mapped_column(String(64))
    # Ids and counts as JSON. Not of type JSON: PostgreSQL would write it anew in its own way.
    about: Mapped[str | None] = mapped_column(Text)


class SealRow(Row):
    """A batch of events that has been sealed; `core/seals.py` says how."""

    __tablename__ = "audit_seals"

    number: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    ids: Mapped[str] = mapped_column(Text)
    highest: Mapped[int] = mapped_column(BigInteger)
    holes: Mapped[str] = mapped_column(Text)
    total: Mapped[int] = mapped_column(BigInteger)
    leaves: Mapped[bytes] = mapped_column(LargeBinary)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    previous: Mapped[bytes] = mapped_column(LargeBinary(32))
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class UsageRow(Row):
    """What one user spent and saved on one day (UTC), with one key, of one model.

    Usage is the sum over all slots: processes on PostgreSQL add to different ones, so that they do
    not wait for each other's commits.
    """

    __tablename__ = "usage_daily"
    __table_args__ = (CheckConstraint("slot >= 0", name="slot"),)

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    # 0 where no key was asked for.
    key_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    model: Mapped[str] = mapped_column(String(128), primary_key=True)
    slot: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    calls: Mapped[int] = mapped_column(BigInteger)
    failed: Mapped[int] = mapped_column(BigInteger)
    unpriced: Mapped[int] = mapped_column(BigInteger)
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal] = mapped_column(Usd)
    hits: Mapped[int] = mapped_column(BigInteger)
    collapsed: Mapped[int] = mapped_column(BigInteger)
    replays: Mapped[int] = mapped_column(BigInteger)
    saved_unpriced: Mapped[int] = mapped_column(BigInteger)
    saved_tokens_in: Mapped[int] = mapped_column(BigInteger)
    saved_tokens_out: Mapped[int] = mapped_column(BigInteger)
    saved_cost: Mapped[Decimal] = mapped_column(Usd)
