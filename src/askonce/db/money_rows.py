"""The tables of limits and budgets. `docs/limits.md` says how they are used."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from askonce.db.columns import Id, UtcDateTime
from askonce.db.rows import Row


class RateLimitRow(Row):
    """How often somebody has asked lately, with regard to one rate."""

    __tablename__ = "rate_limits"
    __table_args__ = (CheckConstraint("kind IN ('key', 'user')", name="kind"),)

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(8), primary_key=True)
    # A user's id or a key's; nothing: all who have no key.
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    period: Mapped[str] = mapped_column(String(8), primary_key=True)
    # In microseconds since 1970: when the whole quota is there again.
    whole_at: Mapped[int] = mapped_column(BigInteger)
    # How much the newest batch was granted of what it wanted.
    granted: Mapped[int] = mapped_column(BigInteger)


class BudgetRow(Row):
    """How much may be spent in each day or month."""

    __tablename__ = "budgets"
    __table_args__ = (
        CheckConstraint("kind IN ('tenant', 'key', 'user')", name="kind"),
        CheckConstraint("unit IN ('usd', 'tokens')", name="unit"),
        CheckConstraint("period IN ('day', 'month')", name="period"),
        CheckConstraint("amount >= 0", name="amount"),
        Index(None, "tenant", "kind", "name", "unit", "period", unique=True),
        Index(None, "version"),
        # What holds something for a budget that was removed must not meet another one.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(8))
    # A user's id or a key's; of a tenant, nothing.
    name: Mapped[str] = mapped_column(String(128))
    unit: Mapped[str] = mapped_column(String(8))
    period: Mapped[str] = mapped_column(String(8))
    # Tokens, or picodollars (10^-12 dollars); so are all amounts below.
    amount: Mapped[int] = mapped_column(BigInteger)
    # Which change of `revisions` it was set with.
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class BudgetPeriodRow(Row):
    """What has been spent of a budget in one day or month, and what is held for calls in flight."""

    __tablename__ = "budget_periods"
    __table_args__ = (
        # `spent` may get below 0 for nobody; `reserved` is what the reservations hold, exactly.
        CheckConstraint("reserved >= 0 AND spent >= 0", name="amounts"),
        CheckConstraint("unknown BETWEEN 0 AND spent", name="unknown"),
    )

    budget_id: Mapped[int] = mapped_column(
        ForeignKey("budgets.id", ondelete="CASCADE"), type_=Id, primary_key=True
    )
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    reserved: Mapped[int] = mapped_column(BigInteger)
    spent: Mapped[int] = mapped_column(BigInteger)
    # The part of `spent` that was charged for calls of which nobody knows what they cost.
    unknown: Mapped[int] = mapped_column(BigInteger)


class ReservationRow(Row):
    """What is held of a budget for one call, or was charged for it while its cost is unknown."""

    __tablename__ = "budget_reservations"
    __table_args__ = (Index(None, "budget_id"),)

    # Not a foreign key: calls are pruned when they are old, and so is this.
    attempt_id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    budget_id: Mapped[int] = mapped_column(
        ForeignKey("budgets.id", ondelete="CASCADE"), type_=Id, primary_key=True
    )
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    tenant: Mapped[str] = mapped_column(String(64))
    amount: Mapped[int] = mapped_column(BigInteger)
    is_charged: Mapped[bool]
