"""Turns what was held for calls into what they cost.

In the transaction in which a call is settled, and only for calls that something is held for. What
was charged for a call of unknown cost is put right when its cost becomes known after all.
"""

from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Executable,
    bindparam,
    case,
    delete,
    func,
    select,
    update,
)

from askonce.core.answers import Answer
from askonce.core.attempts import Outcome
from askonce.core.budgets import Unit, picodollars
from askonce.db.money_rows import BudgetPeriodRow, BudgetRow, ReservationRow

_IS_OF_ATTEMPT = ReservationRow.attempt_id == bindparam("of_attempt")
_COST: BindParameter[int | None] = bindparam("cost", type_=BigInteger)
_TOKENS: BindParameter[int | None] = bindparam("tokens", type_=BigInteger)
_DUE = case((BudgetRow.unit == Unit.USD.value, _COST), else_=_TOKENS)
_SETTLED = (
    select(
        ReservationRow.budget_id,
        ReservationRow.starts_at,
        case((ReservationRow.is_charged, 0), else_=ReservationRow.amount).label("held"),
        case((ReservationRow.is_charged, ReservationRow.amount), else_=0).label("charged"),
        func.coalesce(_DUE, ReservationRow.amount).label("due"),
        case((_DUE.is_(None), ReservationRow.amount), else_=0).label("unknown"),
    )
    .join(BudgetRow, BudgetRow.id == ReservationRow.budget_id)
    .where(_IS_OF_ATTEMPT)
    .subquery("settled")
)
# Built once: building a statement takes longer than running it.
_SETTLE = (
    update(BudgetPeriodRow)
    .where(
        BudgetPeriodRow.budget_id == _SETTLED.c.budget_id,
        BudgetPeriodRow.starts_at == _SETTLED.c.starts_at,
    )
    .values(
        reserved=BudgetPeriodRow.reserved - _SETTLED.c.held,
        spent=BudgetPeriodRow.spent + _SETTLED.c.due - _SETTLED.c.charged,
        unknown=BudgetPeriodRow.unknown + _SETTLED.c.unknown - _SETTLED.c.charged,
    )
)
_FORGET = delete(ReservationRow).where(_IS_OF_ATTEMPT)


class Charge:
    """Charges in full what is held for some calls: nobody knows what they cost."""

    def __init__(self, which: ColumnElement[bool]) -> None:
        is_held = (which, ~ReservationRow.is_charged)
        held = (
            select(
                ReservationRow.budget_id,
                ReservationRow.starts_at,
                func.sum(ReservationRow.amount).cast(BigInteger).label("amount"),
            )
            .where(*is_held)
            .group_by(ReservationRow.budget_id, ReservationRow.starts_at)
            .subquery("held")
        )
        self._lock = (
            select(BudgetRow.id)
            .where(BudgetRow.id.in_(select(ReservationRow.budget_id).where(*is_held)))
            .order_by(BudgetRow.id)
            .with_for_update()
        )
        self._charge = (
            update(BudgetPeriodRow)
            .where(
                BudgetPeriodRow.budget_id == held.c.budget_id,
                BudgetPeriodRow.starts_at == held.c.starts_at,
            )
            .values(
                reserved=BudgetPeriodRow.reserved - held.c.amount,
                spent=BudgetPeriodRow.spent + held.c.amount,
                unknown=BudgetPeriodRow.unknown + held.c.amount,
            )
        )
        self._mark = update(ReservationRow).where(*is_held).values(is_charged=True)

    def make(self, connection: Connection, facts: dict[str, object]) -> None:
        """Charge what is held for the calls that `which` names with these facts."""
        statements: tuple[Executable, ...] = (self._lock, self._charge, self._mark)
        for statement in statements:
            connection.execute(statement, facts)


_CHARGE = Charge(_IS_OF_ATTEMPT)


def settle(
    connection: Connection, attempt_id: int, outcome: Outcome, answer: Answer | None
) -> None:
    """Charge what a call cost; nothing for one that failed, all that is held where nobody knows."""
    attempt: dict[str, object] = {"of_attempt": attempt_id}
    if outcome is Outcome.UNKNOWN:
        _CHARGE.make(connection, attempt)
        return
    cost: Decimal | None = Decimal(0) if answer is None else answer.cost
    facts = {
        "cost": None if cost is None else picodollars(cost),
        "tokens": 0 if answer is None else answer.tokens_in + answer.tokens_out,
    }
    connection.execute(_SETTLE, attempt | facts)
    connection.execute(_FORGET, attempt)
