"""One user asking for the entry of the question that all contracts of the database use."""

from askonce.core.access import Asker
from askonce.core.caching import Accepted
from askonce.core.ports import Kept, Wish
from askonce.db.database import SqlTransaction
from tests.examples import KEY


def recall(tx: SqlTransaction, asker: Asker, accepted: Accepted) -> Kept | None:
    """Give one user an accepted entry; None without one."""
    (kept,) = tx.flights.recall([Wish(KEY, asker, accepted)], at=accepted.now)
    return kept
