"""The books: the audit trail, its seals, and what was spent and saved each day."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TABLES = ("audit_events", "audit_seals")

_REFUSE_IN_SQLITE = """
    CREATE TRIGGER {table}_no_{word} BEFORE {event} ON {table}
    BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
_REFUSE_IN_POSTGRESQL = """
    CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
      RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $body$
"""
_REFUSED_IN_POSTGRESQL = """
    CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()
"""


def upgrade() -> None:
    """Make the tables, and let nobody change what is in the trail by mistake."""
    op.create_table(
        "audit_events",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=True),
        sa.Column("key_id", _ID, nullable=True),
        sa.Column("request_id", sa.String(128), nullable=True),
        sa.Column("provider", sa.String(64), nullable=True),
        sa.Column("model", sa.String(128), nullable=True),
        sa.Column("tokens_in", sa.BigInteger(), nullable=True),
        sa.Column("tokens_out", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("digest", sa.String(64), nullable=True),
        sa.Column("about", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_audit_events_tenant_user_id_id"), "audit_events", ["tenant", "user_id", "id"]
    )
    op.create_table(
        "audit_seals",
        sa.Column("number", _ID, nullable=False, autoincrement=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ids", sa.Text(), nullable=False),
        sa.Column("highest", sa.BigInteger(), nullable=False),
        sa.Column("holes", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("leaves", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("previous", sa.LargeBinary(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_seals")),
    )
    op.create_table(
        "usage_daily",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("key_id", _ID, nullable=False, autoincrement=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("slot", _ID, nullable=False, autoincrement=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("unpriced", sa.BigInteger(), nullable=False),
        sa.Column("tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=False),
        sa.Column("hits", sa.BigInteger(), nullable=False),
        sa.Column("collapsed", sa.BigInteger(), nullable=False),
        sa.Column("replays", sa.BigInteger(), nullable=False),
        sa.Column("saved_unpriced", sa.BigInteger(), nullable=False),
        sa.Column("saved_tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("saved_tokens_out", sa.BigInteger(), nullable=False),
        sa.Column("saved_cost", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("slot >= 0", name=op.f("ck_usage_daily_slot")),
        sa.PrimaryKeyConstraint(
            "tenant",
            "user_id",
            "day",
            "key_id",
            "provider",
            "model",
            "slot",
            name=op.f("pk_usage_daily"),
        ),
    )
    op.add_column("answers", sa.Column("salt", sa.LargeBinary(32), nullable=True))
    op.add_column("answers", sa.Column("digest", sa.String(64), nullable=True))
    op.add_column("attempts", sa.Column("key_id", _ID, nullable=True))
    op.add_column("attempts", sa.Column("request_id", sa.String(128), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        for table in _TABLES:
            for event in ("UPDATE", "DELETE"):
                op.execute(_REFUSE_IN_SQLITE.format(table=table, word=event.lower(), event=event))
        return
    op.execute(_REFUSE_IN_POSTGRESQL)
    for table in _TABLES:
        op.execute(_REFUSED_IN_POSTGRESQL.format(table=table))


def downgrade() -> None:
    """Drop the tables: what happened cannot be proved any more, nor what it cost."""
    for table in ("usage_daily", *_TABLES):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_is_append_only()")
    op.drop_column("attempts", "request_id")
    op.drop_column("attempts", "key_id")
    op.drop_column("answers", "digest")
    op.drop_column("answers", "salt")
