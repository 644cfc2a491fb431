"""Erasure: the eras of users, and the deletion of everything about one of them.

PostgreSQL shows a transaction what others commit while it runs, so an erasure could miss a row
that is just being written. `begin` therefore locks the table of eras for a moment: it waits until
all who have read an era have committed, and who reads one later finds the new one.
"""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, bindparam, select, text
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core.access import Asker
from askonce.core.erasure import Receipt
from askonce.core.flights import first_epoch
from askonce.db.erasing import Erasing
from askonce.db.erasure_rows import ErasureRow
from askonce.db.prepared import Prepared

_ERAS = select(ErasureRow.digest, ErasureRow.era).where(
    ErasureRow.digest.in_(bindparam("digests", expanding=True))
)
_ERA = Prepared(select(ErasureRow.era).where(ErasureRow.digest == bindparam("of_user")))
# Rather fail than keep all misses waiting behind somebody who does not end.
_PATIENCE = text("SET LOCAL lock_timeout = 1000")
_BARRIER = text("LOCK TABLE erasures IN ACCESS EXCLUSIVE MODE")
_USUAL_PATIENCE = text("SET LOCAL lock_timeout = 4000")


class SqlErasures:
    """Which users were erased lately."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def eras(self, askers: Sequence[Asker]) -> Sequence[int]:
        """Return the eras that their users are in, 0 for who was not erased lately."""
        digests = [_digest(asker.tenant, asker.user_id) for asker in askers]
        if len(digests) == 1:
            row = _ERA.row(self._connection, {"of_user": digests[0]})
            return [0 if row is None else row.era]
        rows = self._connection.execute(_ERAS, {"digests": sorted(set(digests))})
        found = {row.digest: row.era for row in rows}
        return [found.get(digest, 0) for digest in digests]

    def begin(self, tenant: str, user_id: str, *, at: datetime) -> None:
        """Begin a user's next era, once all who write in an earlier one have committed."""
        is_sqlite = self._connection.dialect.name == "sqlite"
        if not is_sqlite:
            for statement in (_PATIENCE, _BARRIER, _USUAL_PATIENCE):
                self._connection.execute(statement)
        add = (
            (sqlite if is_sqlite else postgresql)
            .insert(ErasureRow)
            .values(
                digest=_digest(tenant, user_id), tenant=tenant, era=first_epoch(at), erased_at=at
            )
        )
        self._connection.execute(
            add.on_conflict_do_update(
                index_elements=[ErasureRow.digest],
                set_={"era": ErasureRow.era + 1, "erased_at": at},
            )
        )

    def erase(self, tenant: str, user_id: str, *, at: datetime) -> Receipt:
        """Delete all rows of a user, and the answers and cache entries that nobody else uses."""
        return Erasing(self._connection, tenant, user_id).receipt(at)


def _digest(tenant: str, user_id: str) -> bytes:
    return hashlib.sha256(json.dumps([tenant, user_id]).encode()).digest()
