"""What was measured, as a table for people and as JSON for programs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks.arithmetic import Target

_MARGIN = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number and, where there is one, what it should be."""

    name: str
    value: float
    unit: str = ""
    target: Target | None = None
    decimals: int = 1

    @property
    def heading(self) -> str:
        return f"{self.name} {self.unit}".strip()

    def __str__(self) -> str:
        value = f"{self.value:.{self.decimals}f}"
        if self.target is None:
            return value
        verdict = "yes" if self.target.is_met_by(self.value) else "NO"
        least, most = self.target.at_least, self.target.at_most
        sign, bound = (">=", least) if least is not None else ("<=", most)
        return f"{value} {sign} {bound:.{self.decimals}f} {verdict}"


@dataclass(frozen=True, slots=True)
class Row:
    """Figures of one thing, e.g. of one database under one load."""

    of: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """What one measure found."""

    measure: str
    title: str
    rows: list[Row] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the section as plain text, a column for each figure."""
        yield self.title
        headings = list(dict.fromkeys(one.heading for row in self.rows for one in row.figures))
        cells = [{one.heading: str(one) for one in row.figures} for row in self.rows]
        widths = [
            max(len(heading), *(len(row.get(heading, "")) for row in cells)) for heading in headings
        ]
        first = max(len(row.of) for row in self.rows) + _MARGIN
        columns = list(zip(headings, widths, strict=True))
        yield " " * first + "  ".join(heading.rjust(width) for heading, width in columns)
        for row, cell in zip(self.rows, cells, strict=True):
            shown = "  ".join(cell.get(heading, "").rjust(width) for heading, width in columns)
            yield (f"  {row.of}".ljust(first) + shown).rstrip()

    def as_json(self) -> Iterator[dict[str, Any]]:
        """Yield each figure as an object of its own."""
        for row in self.rows:
            for figure in row.figures:
                told: dict[str, Any] = {
                    "measure": self.measure,
                    "of": row.of,
                    "figure": figure.name,
                    "unit": figure.unit,
                    "value": round(figure.value, 4),
                }
                if figure.target is not None:
                    told["target"] = {
                        name: bound
                        for name, bound in (
                            ("at_least", figure.target.at_least),
                            ("at_most", figure.target.at_most),
                        )
                        if bound is not None
                    }
                    told["is_met"] = figure.target.is_met_by(figure.value)
                yield told
