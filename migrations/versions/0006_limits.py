"""Rate limits and budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, empty: nothing is limited before somebody says so."""
    op.create_table(
        "rate_limits",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("period", sa.String(8), nullable=False),
        sa.Column("whole_at", sa.BigInteger(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('key', 'user')", name=op.f("ck_rate_limits_kind")),
        sa.PrimaryKeyConstraint("tenant", "kind", "name", "period", name=op.f("pk_rate_limits")),
    )
    op.create_table(
        "budgets",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("unit", sa.String(8), nullable=False),
        sa.Column("period", sa.String(8), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('tenant', 'key', 'user')", name=op.f("ck_budgets_kind")),
        sa.CheckConstraint("unit IN ('usd', 'tokens')", name=op.f("ck_budgets_unit")),
        sa.CheckConstraint("period IN ('day', 'month')", name=op.f("ck_budgets_period")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_budgets_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_budgets")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_budgets_tenant_kind_name_unit_period"),
        "budgets",
        ["tenant", "kind", "name", "unit", "period"],
        unique=True,
    )
    op.create_index(op.f("ix_budgets_version"), "budgets", ["version"])
    op.create_table(
        "budget_periods",
        sa.Column("budget_id", _ID, nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("unknown", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("reserved >= 0 AND spent >= 0", name=op.f("ck_budget_periods_amounts")),
        sa.CheckConstraint("unknown BETWEEN 0 AND spent", name=op.f("ck_budget_periods_unknown")),
        sa.ForeignKeyConstraint(
            ["budget_id"],
            ["budgets.id"],
            name=op.f("fk_budget_periods_budget_id_budgets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("budget_id", "starts_at", name=op.f("pk_budget_periods")),
    )
    op.create_table(
        "budget_reservations",
        sa.Column("attempt_id", _ID, autoincrement=False, nullable=False),
        sa.Column("budget_id", _ID, nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("is_charged", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["budget_id"],
            ["budgets.id"],
            name=op.f("fk_budget_reservations_budget_id_budgets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("attempt_id", "budget_id", name=op.f("pk_budget_reservations")),
    )
    op.create_index(op.f("ix_budget_reservations_budget_id"), "budget_reservations", ["budget_id"])
    op.add_column("attempts", sa.Column("is_budgeted", sa.Boolean(), nullable=True))
    op.execute("INSERT INTO revisions (name, version, deleted) VALUES ('budgets', 0, 0)")


def downgrade() -> None:
    """Drop the tables: what was spent of each budget is forgotten."""
    op.execute("DELETE FROM revisions WHERE name = 'budgets'")
    op.drop_column("attempts", "is_budgeted")
    for table in ("budget_reservations", "budget_periods", "budgets", "rate_limits"):
        op.drop_table(table)
