"""The table of keys."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column

from askonce.db.columns import Id, UtcDateTime
from askonce.db.rows import Row


class KeyRow(Row):
    """Who may call: a key's digest, and what it reaches. Rows stay when keys are revoked."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'service', 'admin')", name="role"),
        CheckConstraint("(role = 'user') = (user_id IS NOT NULL)", name="user"),
        CheckConstraint(
            "(previous_digest IS NULL) = (previous_until IS NULL)", name="previous_digest"
        ),
        Index("uq_api_keys_digest", "digest", unique=True),
        Index("ix_api_keys_version", "version"),
        Index(
            "uq_api_keys_tenant_name",
            "tenant",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(8))
    user_id: Mapped[str | None] = mapped_column(String(128))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    # The first characters of the key, to recognise it by.
    shown: Mapped[str] = mapped_column(String(16))
    previous_digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    rotated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
