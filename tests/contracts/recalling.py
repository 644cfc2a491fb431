"""One user asking the question that all contracts of the database are about."""

from datetime import datetime

from askonce.core.access import Asker
from askonce.core.caching import CacheRules
from askonce.core.ports import Kept
from askonce.core.requests import Request
from askonce.db.database import SqlTransaction
from tests.examples import KEY, NOW, PLAIN, a_question


def recall(
    tx: SqlTransaction, asker: Asker, at: datetime = NOW, *, rules: CacheRules = PLAIN
) -> Kept | None:
    """Give one user an entry that will do; None without one."""
    request = Request(question=a_question(), fingerprint=KEY, asker=asker, rules=rules)
    (kept,) = tx.flights.recall([request], at=at)
    return kept
