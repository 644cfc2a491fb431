"""The table of browsers that are signed in to the console."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from askonce.db.columns import UtcDateTime
from askonce.db.rows import Row


class SignInRow(Row):
    """A browser that is signed in: digests of what it holds and of the key that it showed."""

    __tablename__ = "console_sessions"
    __table_args__ = (
        Index(None, "expires_at"),
        Index(None, "key_id", "created_at"),
        Index(None, "tenant", "user_id"),
    )

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[int] = mapped_column(BigInteger)
    key_digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    user_id: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
