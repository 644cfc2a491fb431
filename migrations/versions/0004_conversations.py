"""Conversations, and users' preferences."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and let idempotency keys stand for sessions and messages too."""
    op.create_table(
        "sessions",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=True),
        sa.Column("model", sa.String(128), nullable=True),
        sa.Column("instructions", sa.Text(), nullable=True),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("replied", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "messages >= 0 AND replied BETWEEN 0 AND messages", name=op.f("ck_sessions_positions")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_sessions_tenant_user_id_updated_at_id"),
        "sessions",
        ["tenant", "user_id", "updated_at", "id"],
    )
    op.create_index(
        op.f("ix_sessions_tenant_updated_at_id"), "sessions", ["tenant", "updated_at", "id"]
    )
    op.create_table(
        "messages",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("session_id", _ID, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("answer_id", _ID, nullable=True),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=True),
        sa.Column("summarised", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "role IN ('user', 'assistant', 'summary')", name=op.f("ck_messages_role")
        ),
        sa.CheckConstraint(
            "(content IS NULL) = (answer_id IS NOT NULL)", name=op.f("ck_messages_content")
        ),
        sa.CheckConstraint("(answer_id IS NULL) = (sent IS NULL)", name=op.f("ck_messages_sent")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_messages_session_id_sessions")
        ),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_messages_answer_id_answers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_messages_session_id_id"), "messages", ["session_id", "id"])
    op.create_index(op.f("ix_messages_answer_id"), "messages", ["answer_id"])
    op.create_index(
        "uq_messages_session_id_position",
        "messages",
        ["session_id", "position"],
        unique=True,
        sqlite_where=sa.text("role <> 'summary'"),
        postgresql_where=sa.text("role <> 'summary'"),
    )
    op.create_index(
        "ix_messages_summaries",
        "messages",
        ["session_id", "position"],
        sqlite_where=sa.text("role = 'summary'"),
        postgresql_where=sa.text("role = 'summary'"),
    )
    op.create_table(
        "preferences",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("provider", sa.String(64), nullable=True),
        sa.Column("model", sa.String(128), nullable=True),
        sa.Column("instructions", sa.Text(), nullable=True),
        sa.Column("max_output_tokens", sa.Integer(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "user_id", name=op.f("pk_preferences")),
    )
    op.create_index(op.f("ix_preferences_version"), "preferences", ["version"])
    revisions = op.create_table(
        "revisions",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_revisions")),
    )
    op.bulk_insert(revisions, [{"name": "preferences", "version": 0, "deleted": 0}])
    op.add_column("idempotency_keys", sa.Column("session_id", _ID, nullable=True))
    op.add_column("idempotency_keys", sa.Column("message_id", _ID, nullable=True))


def downgrade() -> None:
    """Drop the tables, with all conversations and the answers that only they used."""
    op.execute(
        "UPDATE flights SET state = 'purged', epoch = epoch + 1, fence = fence + 1,"
        " answer_id = NULL, stored_at = NULL, expires_at = NULL"
        " WHERE answer_id NOT IN (SELECT answer_id FROM analyses)"
    )
    op.execute("UPDATE messages SET content = '', answer_id = NULL, sent = NULL")
    op.execute("DELETE FROM answers WHERE id NOT IN (SELECT answer_id FROM analyses)")
    op.drop_column("idempotency_keys", "message_id")
    op.drop_column("idempotency_keys", "session_id")
    for table in ("revisions", "preferences", "messages", "sessions"):
        op.drop_table(table)
