"""Erasures: who was erased lately, calls by user, and what is still to be wiped on SQLite."""

from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from sqlalchemy import Connection

revision = "0008"
down_revision = "0007"

INDEX = "ix_attempts_tenant_user_id"
# With more calls than this, PostgreSQL's index is made beside whoever makes more of them.
FEW = 10_000
# SQLite only: what was deleted can be read in its files until somebody wipes them.
DELETIONS = ("answers", "sessions", "preferences")
COUNT_DELETIONS = """
    CREATE TRIGGER {0}_residue AFTER DELETE ON {0} BEGIN
      UPDATE revisions SET version = version + 1 WHERE name = 'deletions';
    END
"""


def upgrade() -> None:
    """Make the table and the index; count deletions where they leave something behind."""
    op.create_table(
        "erasures",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("era", sa.BigInteger(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_erased_at"), "erasures", ["erased_at"])
    index_attempts()
    # The deletions that there were, and up to which of them the file has been wiped: something
    # that nobody counted may be in there already. PostgreSQL has the rows, too: copies are alike.
    op.execute(
        "INSERT INTO revisions (name, version, deleted) VALUES ('deletions', 1, 0), ('wipes', 0, 0)"
    )
    if op.get_bind().dialect.name == "sqlite":
        for table in DELETIONS:
            op.execute(COUNT_DELETIONS.format(table))


def index_attempts() -> None:
    """Index calls by user; many of them without keeping those waiting who make calls."""
    own = op.get_bind()
    if own.dialect.name != "sqlite":
        engine = sa.create_engine(
            own.engine.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as apart:
            # Whoever makes several migrations in one transaction has the table locked already.
            apart.exec_driver_sql("SET lock_timeout = '60s'")
            if has_many_attempts(apart):
                # Anew, where one is there that may not have been finished.
                apart.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
                apart.exec_driver_sql(
                    f"CREATE INDEX CONCURRENTLY {INDEX} ON attempts (tenant, user_id)"
                )
                return
    op.create_index(op.f(INDEX), "attempts", ["tenant", "user_id"])


def has_many_attempts(connection: "Connection") -> bool:
    """Return whether an index of them takes long to make."""
    config = op.get_context().config
    few = FEW if config is None else config.attributes.get("few", FEW)
    if not sa.inspect(connection).has_table("attempts"):
        # Made just now, in a transaction that has not ended.
        return False
    beyond = sa.text("SELECT 1 FROM attempts ORDER BY id OFFSET :few LIMIT 1")
    return connection.execute(beyond, {"few": few}).first() is not None


def downgrade() -> None:
    """Drop them: calls that were made anonymous stay so."""
    if op.get_bind().dialect.name == "sqlite":
        for table in DELETIONS:
            op.execute(f"DROP TRIGGER {table}_residue")
    op.execute("DELETE FROM revisions WHERE name IN ('deletions', 'wipes')")
    op.drop_index(op.f("ix_attempts_tenant_user_id"), "attempts")
    op.drop_table("erasures")
