"""Keys."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table, and the revision by which all processes notice changes."""
    op.create_table(
        "api_keys",
        sa.Column("id", _ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=True),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("shown", sa.String(16), nullable=False),
        sa.Column("previous_digest", sa.LargeBinary(32), nullable=True),
        sa.Column("previous_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('user', 'service', 'admin')", name=op.f("ck_api_keys_role")),
        sa.CheckConstraint(
            "(role = 'user') = (user_id IS NOT NULL)", name=op.f("ck_api_keys_user")
        ),
        sa.CheckConstraint(
            "(previous_digest IS NULL) = (previous_until IS NULL)",
            name=op.f("ck_api_keys_previous_digest"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_api_keys_digest", "api_keys", ["digest"], unique=True)
    op.create_index("ix_api_keys_version", "api_keys", ["version"])
    op.create_index(
        "uq_api_keys_tenant_name",
        "api_keys",
        ["tenant", "name"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.execute("INSERT INTO revisions (name, version, deleted) VALUES ('keys', 0, 0)")


def downgrade() -> None:
    """Drop the table: an older askonce asks for no key, and answers on a loopback address only."""
    op.execute("DELETE FROM revisions WHERE name = 'keys'")
    op.drop_table("api_keys")
