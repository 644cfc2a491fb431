"""The table of who was erased lately."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from askonce.db.columns import UtcDateTime
from askonce.db.rows import Row


class ErasureRow(Row):
    """A user who was erased lately: only a digest, which is forgotten within a day or so."""

    __tablename__ = "erasures"
    __table_args__ = (Index(None, "erased_at"),)

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    # Grows with each erasure, and never begins anew: a row that was pruned is 0.
    era: Mapped[int] = mapped_column(BigInteger)
    erased_at: Mapped[datetime] = mapped_column(UtcDateTime)
