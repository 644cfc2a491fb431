"""Console sessions: browsers that are signed in."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "console_sessions",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_console_sessions")),
    )
    op.create_index(op.f("ix_console_sessions_expires_at"), "console_sessions", ["expires_at"])
    op.create_index(
        op.f("ix_console_sessions_key_id_created_at"), "console_sessions", ["key_id", "created_at"]
    )
    op.create_index(
        op.f("ix_console_sessions_tenant_user_id"), "console_sessions", ["tenant", "user_id"]
    )


def downgrade() -> None:
    """Drop it: everybody signs in anew."""
    op.drop_table("console_sessions")
