"""What has become of the lines so far: for the bar, and for the summary at the end."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from askonce.cli.bulk.records import Record


@dataclass(slots=True)
class Tally:
    """Lines by what became of them. Money is US dollars; `unpriced` lines are in none of it."""

    lines: int = 0
    hits: int = 0
    misses: int = 0
    failed: int = 0
    cost: Decimal = Decimal(0)
    saved: Decimal = Decimal(0)
    unpriced: int = 0

    def add(self, record: Record) -> None:
        self.lines += 1
        if record.analysis is None:
            self.failed += 1
            return
        self.hits += record.is_hit
        self.misses += not record.is_hit
        if record.cost is None:
            self.unpriced += 1
        elif record.is_hit:
            self.saved += record.cost
        else:
            self.cost += record.cost

    def facts(self) -> dict[str, Any]:
        return {
            "lines": self.lines,
            "hits": self.hits,
            "misses": self.misses,
            "failed": self.failed,
            "cost_usd": f"{self.cost:f}",
            "saved_usd": f"{self.saved:f}",
            "unpriced": self.unpriced,
        }

    def told(self) -> str:
        """Return it in one line."""
        unpriced = f"; the price of {self.unpriced} is not known" if self.unpriced else ""
        return (
            f"{self.lines} lines: {self.hits} hits, {self.misses} misses, {self.failed} failed; "
            f"cost ${self.cost:.6f}, saved ${self.saved:.6f}{unpriced}"
        )
