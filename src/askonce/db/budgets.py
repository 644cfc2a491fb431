"""The ledger of money: held before a call is made, and charged or released after it.

Whoever changes what is held or spent locks the budgets first, in the order of their ids and before
anything else that may be waited for: so two processes never wait for each other.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    bindparam,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core.budgets import (
    Budget,
    BudgetNews,
    Hold,
    Kind,
    Period,
    Scope,
    Standing,
    Unit,
)
from askonce.db.columns import UtcDateTime
from askonce.db.money_rows import BudgetPeriodRow, BudgetRow, ReservationRow
from askonce.db.rows import RevisionRow

_IS_OURS = RevisionRow.name == "budgets"
_COLUMNS = (
    BudgetRow.id,
    BudgetRow.tenant,
    BudgetRow.kind,
    BudgetRow.name,
    BudgetRow.unit,
    BudgetRow.period,
    BudgetRow.amount,
)
_SCOPE = ("tenant", "kind", "name", "unit", "period")
_IS_IT = [getattr(BudgetRow, name) == bindparam(f"of_{name}") for name in _SCOPE]

# Built once: building a statement takes longer than running it.
_REVISION = select(RevisionRow.version, RevisionRow.deleted).where(_IS_OURS)
_NEXT = (
    update(RevisionRow)
    .where(_IS_OURS)
    .values(version=RevisionRow.version + 1)
    .returning(RevisionRow.version)
)
_NEXT_DELETION = (
    update(RevisionRow)
    .where(_IS_OURS)
    .values(version=RevisionRow.version + 1, deleted=RevisionRow.version + 1)
)
_ALL = select(*_COLUMNS).order_by(BudgetRow.id)
_CHANGED = _ALL.where(BudgetRow.version > bindparam("since"))
_PERIODS = select(
    BudgetPeriodRow.budget_id,
    BudgetPeriodRow.starts_at,
    BudgetPeriodRow.spent,
    BudgetPeriodRow.reserved,
    BudgetPeriodRow.unknown,
).where(BudgetPeriodRow.starts_at.in_(bindparam("starts", expanding=True)))
_REMOVE = delete(BudgetRow).where(*_IS_IT)
_LOCK = (
    select(BudgetRow.id)
    .where(BudgetRow.id.in_(bindparam("ids", expanding=True)))
    .order_by(BudgetRow.id)
    .with_for_update()
)
# The one conditional statement: what does not fit any more changes nothing.
_RESERVE = text(
    """
    INSERT INTO budget_periods (budget_id, starts_at, tenant, reserved, spent, unknown)
    SELECT id, :starts_at, tenant, :amount, 0, 0
    FROM budgets WHERE id = :budget_id AND amount >= :amount
    ON CONFLICT (budget_id, starts_at) DO UPDATE
    SET reserved = budget_periods.reserved + excluded.reserved
    WHERE budget_periods.spent + budget_periods.reserved + excluded.reserved
          <= (SELECT amount FROM budgets WHERE id = excluded.budget_id)
    """
).bindparams(bindparam("starts_at", type_=UtcDateTime), bindparam("amount", type_=BigInteger))
_EXISTS = select(BudgetRow.id).where(BudgetRow.id == bindparam("budget_id"))
_RELEASE = (
    update(BudgetPeriodRow)
    .where(
        BudgetPeriodRow.budget_id == bindparam("of_budget"),
        BudgetPeriodRow.starts_at == bindparam("of_start", type_=UtcDateTime),
    )
    .values(reserved=BudgetPeriodRow.reserved - bindparam("amount", type_=BigInteger))
)
_NOTE = insert(ReservationRow)


class SqlBudgets:
    """The budgets of all tenants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, scope: Scope, amount: int, *, at: datetime) -> None:
        """Set what may be spent; what was spent already of the same budget still counts."""
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        changes = {
            "amount": amount,
            "version": self._connection.execute(_NEXT).scalar_one(),
            "updated_at": at,
        }
        self._connection.execute(
            dialect.insert(BudgetRow)
            .values(**_facts(scope), created_at=at, **changes)
            .on_conflict_do_update(
                index_elements=[getattr(BudgetRow, name) for name in _SCOPE], set_=changes
            )
        )

    def remove(self, scope: Scope) -> bool:
        """Let calls cost what they may again; False where there was no such budget."""
        self._connection.execute(_NEXT_DELETION)
        facts = {f"of_{name}": value for name, value in _facts(scope).items()}
        return self._connection.execute(_REMOVE, facts).rowcount == 1

    def standings(self, now: datetime) -> Sequence[Standing]:
        """Return all budgets with what is spent of them in the period that `now` lies in."""
        starts = {period: period.start(now) for period in Period}
        rows = self._connection.execute(_PERIODS, {"starts": list(starts.values())})
        periods = {(row.budget_id, row.starts_at): row for row in rows}
        standings = []
        for budget in map(_budget, self._connection.execute(_ALL)):
            standing = Standing(budget=budget, starts_at=starts[budget.scope.period])
            row = periods.get((budget.id, standing.starts_at))
            if row is not None:
                standing = replace(
                    standing, spent=row.spent, reserved=row.reserved, unknown=row.unknown
                )
            standings.append(standing)
        return standings

    def news(self, since: int | None) -> BudgetNews:
        """Return what was set after version `since`; without one, all budgets."""
        revision = self._connection.execute(_REVISION).one()
        if revision.version == since:
            return BudgetNews(revision.version)
        # A version that went back: the database was restored from a backup.
        is_all = since is None or revision.deleted > since or revision.version < since
        statement = _ALL if is_all else _CHANGED
        rows = self._connection.execute(statement, {} if is_all else {"since": since})
        return BudgetNews(revision.version, [_budget(row) for row in rows], is_all=is_all)

    def lock(self, budget_ids: Sequence[int]) -> None:
        """Let nobody else hold or charge anything until this transaction ends."""
        if self._connection.dialect.name != "sqlite":
            self._connection.execute(_LOCK, {"ids": sorted(budget_ids)})

    def reserve(self, holds: Sequence[Hold]) -> Sequence[Hold] | Hold:
        """Hold the most that a call can cost, of all these budgets or of none.

        Returns what is held, to be noted with the call; or else what did not fit. A budget that
        was removed meanwhile is passed over.
        """
        held: list[Hold] = []
        for hold in holds:
            facts = {
                "budget_id": hold.budget.id,
                "starts_at": hold.starts_at,
                "amount": hold.amount,
            }
            if self._connection.execute(_RESERVE, facts).rowcount == 1:
                held.append(hold)
            elif self._connection.execute(_EXISTS, facts).first() is not None:
                self._release(held)
                return hold
        return held

    def note(self, attempt_id: int, holds: Sequence[Hold]) -> None:
        """Write for which call something is held."""
        self._connection.execute(
            _NOTE,
            [
                {
                    "attempt_id": attempt_id,
                    "budget_id": hold.budget.id,
                    "starts_at": hold.starts_at,
                    "tenant": hold.budget.scope.tenant,
                    "amount": hold.amount,
                    "is_charged": False,
                }
                for hold in holds
            ],
        )

    def _release(self, holds: Sequence[Hold]) -> None:
        for hold in holds:
            self._connection.execute(
                _RELEASE,
                {
                    "of_budget": hold.budget.id,
                    "of_start": hold.starts_at,
                    "amount": hold.amount,
                },
            )


def _facts(scope: Scope) -> dict[str, object]:
    return {
        "tenant": scope.tenant,
        "kind": scope.kind.value,
        "name": scope.name,
        "unit": scope.unit.value,
        "period": scope.period.value,
    }


def _budget(row: Row[*tuple[Any, ...]]) -> Budget:
    return Budget(
        id=row.id,
        scope=Scope(
            tenant=row.tenant,
            kind=Kind(row.kind),
            name=row.name,
            unit=Unit(row.unit),
            period=Period(row.period),
        ),
        amount=row.amount,
    )
