"""The seals over the audit trail."""

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core import ranges
from askonce.core.seals import Seal, read_holes, written_holes
from askonce.db.book_rows import SealRow

_ALL = select(SealRow.__table__)
_NEWEST = _ALL.order_by(SealRow.number.desc()).limit(1)
_AFTER = _ALL.where(SealRow.number > bindparam("last")).order_by(SealRow.number).limit(1)
# Who is second waits for the first to commit, and then adds nothing: a compare-and-swap.
_ADD = {
    name: dialect.insert(SealRow)
    .on_conflict_do_nothing(index_elements=[SealRow.number])
    .returning(SealRow.number)
    for name, dialect in (("sqlite", sqlite), ("postgresql", postgresql))
}


class SqlSeals:
    """All seals."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def newest(self) -> Seal | None:
        """Return the last seal."""
        row = self._connection.execute(_NEWEST).one_or_none()
        return None if row is None else _seal(row)

    def after(self, number: int) -> Seal | None:
        """Return the seal with the next number that there is.

        Raises:
            ValueError: it has been tampered with so that it cannot be read.
        """
        row = self._connection.execute(_AFTER, {"last": number}).one_or_none()
        return None if row is None else _seal(row)

    def add(self, seal: Seal) -> bool:
        """Append a seal; False when there is one of its number already."""
        added = self._connection.execute(
            _ADD[self._connection.dialect.name],
            {
                "number": seal.number,
                "at": seal.at,
                "ids": ranges.written(seal.ids),
                "highest": seal.highest,
                "holes": written_holes(seal.holes),
                "total": seal.total,
                "leaves": seal.leaves,
                "root": seal.root,
                "previous": seal.previous,
                "hash": seal.hash,
            },
        )
        return added.scalar_one_or_none() is not None


def _seal(row: Row[*tuple[object, ...]]) -> Seal:
    return Seal(
        number=row.number,
        at=row.at,
        ids=ranges.read(row.ids),
        highest=row.highest,
        holes=read_holes(row.holes),
        total=row.total,
        leaves=bytes(row.leaves),
        root=bytes(row.root),
        previous=bytes(row.previous),
        hash=bytes(row.hash),
    )
