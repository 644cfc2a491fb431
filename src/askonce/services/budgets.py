"""Which budgets a call is held against, known without asking the database.

What is held in memory is looked at twice a second: a budget that is set on another replica counts
within a second. Where none is set, nothing is held, written or looked up for a call.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from askonce.core.access import Asker
from askonce.core.budgets import Budget, Hold, Kind, Prices, Unit, most_tokens_in, picodollars
from askonce.core.clock import Clock
from askonce.core.errors import BudgetExceededError
from askonce.core.ports import Database, Transaction
from askonce.core.questions import Question
from askonce.telemetry import log

_ROUND_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Bill:
    """What is to be held for a call before it is made; or why it cannot be held at all."""

    holds: tuple[Hold, ...] = ()
    refusal: BudgetExceededError | None = None

    @property
    def budget_ids(self) -> tuple[int, ...]:
        """Which budgets are to be locked before the bill is written."""
        return tuple(hold.budget.id for hold in self.holds)


_NOTHING = Bill()


class Budgets:
    """The budgets of all tenants, as far as this process knows."""

    def __init__(self, *, database: Database, prices: Prices, clock: Clock) -> None:
        self._database = database
        self._prices = prices
        self._clock = clock
        self._of: dict[tuple[str, Kind, str], tuple[Budget, ...]] = {}
        self._version: int | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="budgets", daemon=True)

    def start(self) -> None:
        self.refresh()
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    def of(self, asker: Asker) -> Sequence[Budget]:
        """Return the budgets that what is asked for somebody counts against, by their ids."""
        known = self._of
        if not known:
            return ()
        key_id = "" if asker.key_id is None else str(asker.key_id)
        scopes = (
            (asker.tenant, Kind.TENANT, ""),
            (asker.tenant, Kind.KEY, key_id),
            (asker.tenant, Kind.USER, asker.user_id),
        )
        return sorted(
            (budget for scope in scopes for budget in known.get(scope, ())),
            key=lambda budget: budget.id,
        )

    def ids(self, asker: Asker) -> Sequence[int]:
        """Return the ids of these budgets: what is settled for somebody may change them."""
        return [budget.id for budget in self.of(asker)]

    def of_tenant(self, tenant: str) -> Sequence[int]:
        """Return the ids of all budgets in a tenant."""
        return sorted(
            budget.id
            for (owner, *_), some in self._of.items()
            if owner == tenant
            for budget in some
        )

    def refuse_too(self, error: BudgetExceededError, asker: Asker) -> bool:
        """Return whether what was refused to somebody else would be refused to this one, too."""
        return any(budget.id == error.budget.id for budget in self.of(asker))

    def bill(self, asker: Asker, question: Question) -> Bill:
        """Return what a call may cost somebody at most."""
        budgets = self.of(asker)
        if not budgets:
            return _NOTHING
        now = self._clock.now()
        tokens_in, tokens_out = most_tokens_in(question), question.max_output_tokens
        amounts = {Unit.TOKENS: tokens_in + tokens_out}
        if any(budget.scope.unit is Unit.USD for budget in budgets):
            cost = self._prices.most(
                question.provider,
                question.model,
                tokens_in=tokens_in,
                tokens_out=tokens_out,
                at=now,
            )
            if cost is not None:
                amounts[Unit.USD] = picodollars(cost)
        holds = []
        for budget in budgets:
            starts_at = budget.scope.period.start(now)
            amount = amounts.get(budget.scope.unit)
            if amount is None:
                refusal = BudgetExceededError(budget, starts_at, unpriced=question.model)
                return Bill((), refusal)
            if amount:
                holds.append(Hold(budget, starts_at, amount))
        return Bill(tuple(holds))

    def refresh(self) -> None:
        """Learn what has been set or removed since, here or elsewhere."""
        with self._database.reading() as tx:
            news = tx.budgets.news(self._version)
        if news.is_all or news.budgets:
            kept = {} if news.is_all else {one.id: one for of in self._of.values() for one in of}
            known: dict[tuple[str, Kind, str], tuple[Budget, ...]] = {}
            for budget in (kept | {one.id: one for one in news.budgets}).values():
                scope = (budget.scope.tenant, budget.scope.kind, budget.scope.name)
                known[scope] = (*known.get(scope, ()), budget)
            # Swapped at once: others read it meanwhile.
            self._of = known
        self._version = news.version

    def _run(self) -> None:
        while not self._is_over.wait(_ROUND_SECONDS):
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001 - without this thread nothing would be noticed
                log.warning("budgets_not_refreshed", error=type(error).__name__)


def held(tx: Transaction, bill: Bill) -> Sequence[Hold] | BudgetExceededError:
    """Hold what a call may cost, in the transaction that writes its intent."""
    if bill.refusal is not None:
        return bill.refusal
    if not bill.holds:
        return ()
    reserved = tx.budgets.reserve(bill.holds)
    if isinstance(reserved, Hold):
        return BudgetExceededError(reserved.budget, reserved.starts_at)
    return reserved
