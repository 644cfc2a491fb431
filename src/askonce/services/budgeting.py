"""Sets, shows and removes budgets, as the operator does."""

from collections.abc import Sequence
from datetime import datetime

from askonce.core.budgets import Scope, Standing
from askonce.core.clock import Clock
from askonce.core.events import Action, Event
from askonce.core.ports import Database


class Budgeting:
    """What `askonce budgets` does; running services notice within a second."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, scope: Scope, amount: int) -> None:
        """Set what may be spent; what was spent already of the same budget still counts."""
        with self._database.transaction() as tx:
            now = self._clock.now()
            tx.budgets.put(scope, amount, at=now)
            tx.book(_event(Action.BUDGETS_SET, scope, now, amount=amount))

    def remove(self, scope: Scope) -> bool:
        """Remove a budget with what was spent of it; False where there is none."""
        with self._database.transaction() as tx:
            if not tx.budgets.remove(scope):
                return False
            tx.book(_event(Action.BUDGETS_REMOVE, scope, self._clock.now()))
            return True

    def key_id(self, tenant: str, name: str) -> int | None:
        """Return the id of a key that goes by a name or an id; None where there is none."""
        with self._database.reading() as tx:
            keys = tx.keys.all(tenant)
        # Of those that were revoked only the ids are theirs alone.
        found = [
            key.id
            for key in keys
            if str(key.id) == name or (key.name == name and key.revoked_at is None)
        ]
        return found[0] if found else None

    def standings(self) -> Sequence[Standing]:
        """Return all budgets with what is spent of them in their present period."""
        with self._database.reading() as tx:
            return tx.budgets.standings(self._clock.now())


def _event(action: Action, scope: Scope, at: datetime, **facts: int) -> Event:
    about: dict[str, int | str] = {
        "kind": scope.kind.value,
        "name": scope.name,
        "unit": scope.unit.value,
        "period": scope.period.value,
        **facts,
    }
    return Event(at=at, tenant=scope.tenant, action=action, about=about)
