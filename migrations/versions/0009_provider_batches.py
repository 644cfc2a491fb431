"""Batches: questions that a vendor answers within a day, at half the price."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

WAITS = sa.text("state = 'waiting'")
# SQLite only: what was deleted can be read in its files until somebody wipes them.
COUNT_DELETIONS = """
    CREATE TRIGGER provider_batch_lines_residue_{0} AFTER {1} ON provider_batch_lines BEGIN
      UPDATE revisions SET version = version + 1 WHERE name = 'deletions';
    END
"""
DELETIONS = {"deleted": "DELETE", "erased": "UPDATE OF user_id"}


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "provider_batches",
        sa.Column("id", bigint(), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("remote_id", sa.String(128), nullable=True),
        sa.Column("lines", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'sending', 'sent', 'over')", name=op.f("ck_provider_batches_state")
        ),
        sa.CheckConstraint("lines >= 0 AND size >= 0", name=op.f("ck_provider_batches_sizes")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_batches")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_provider_batches_tenant_state"), "provider_batches", ["tenant", "state"]
    )
    op.create_index(
        op.f("ix_provider_batches_provider_remote_id"),
        "provider_batches",
        ["provider", "remote_id"],
    )
    op.create_table(
        "provider_batch_lines",
        sa.Column("id", bigint(), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("era", sa.BigInteger(), nullable=True),
        sa.Column("run", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("batch_id", bigint(), nullable=True),
        sa.Column("leader_id", bigint(), nullable=True),
        sa.Column("attempt_id", bigint(), nullable=True),
        sa.Column("analysis_id", bigint(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("question", sa.Text(), nullable=True),
        sa.Column("failure", sa.String(64), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'answered', 'failed')", name=op.f("ck_provider_batch_lines_state")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["provider_batches.id"],
            name=op.f("fk_provider_batch_lines_batch_id_provider_batches"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_batch_lines")),
        sqlite_autoincrement=True,
    )
    for columns, is_unique in (
        (["tenant", "run", "number"], True),
        (["tenant", "user_id"], False),
        (["batch_id", "id"], False),
        (["leader_id"], False),
    ):
        name = op.f(f"ix_provider_batch_lines_{'_'.join(columns)}")
        op.create_index(name, "provider_batch_lines", columns, unique=is_unique)
    op.create_index(
        "ix_provider_batch_lines_waiting",
        "provider_batch_lines",
        ["tenant", "fingerprint"],
        sqlite_where=WAITS,
        postgresql_where=WAITS,
    )
    if op.get_bind().dialect.name == "sqlite":
        for trigger, what in DELETIONS.items():
            op.execute(COUNT_DELETIONS.format(trigger, what))


def bigint() -> sa.types.TypeEngine[int]:
    """Return the type of ids: on SQLite only INTEGER counts up by itself."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def downgrade() -> None:
    """Drop them; on SQLite their triggers go with them."""
    op.drop_table("provider_batch_lines")
    op.drop_table("provider_batches")
