"""What `askonce eval` prints: runs prompt by prompt, in all, and beside each other."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from askonce.cli.printable import printable
from askonce.evaluation.comparing import Comparison, Shift, told
from askonce.evaluation.results import Stored
from askonce.evaluation.summaries import PromptResult, Spending, Summary

if TYPE_CHECKING:
    from rich.console import Console

# As wide as it takes: a narrow terminal wraps lines, where rich would cut figures.
_WIDE = 250


def show(
    runs: Sequence[Stored],
    summaries: Sequence[Summary],
    comparisons: Sequence[Comparison],
    *,
    has_unmet: bool,
) -> None:
    """Print runs as tables, with colours on a terminal alone."""
    from rich.console import Console

    screen = Console(highlight=False, markup=False, emoji=False, width=_WIDE)
    _show_prompts(screen, summaries)
    screen.print()
    _show_totals(screen, summaries)
    for summary in summaries:
        _show_cautions(screen, summary)
    if has_unmet:
        for summary in summaries:
            _show_unmet(screen, summary)
    for comparison in comparisons:
        screen.print()
        _show_comparison(screen, comparison)
    screen.print()
    for run in runs:
        screen.print(f"stored in {printable(str(run.path))}", soft_wrap=True)


def _show_prompts(screen: "Console", summaries: Sequence[Summary]) -> None:
    results = [{one.prompt: one for one in summary.results} for summary in summaries]
    names = dict.fromkeys(name for result in results for name in result)
    criteria = dict.fromkeys(name for summary in summaries for name in summary.scores)
    heads = [_label(one).upper() for one in summaries] if len(summaries) > 1 else ["PASSED"]
    columns = ["PROMPT"]
    for head in heads:
        columns += [head, "CHECKS", *(name.upper() for name in criteria)]
    rows = [
        [name, *(cell for found in results for cell in _cells(found.get(name), list(criteria)))]
        for name in names
    ]
    _table(screen, columns, rows)


def _cells(result: PromptResult | None, criteria: Sequence[str]) -> list[str]:
    if result is None or not result.asked:
        return ["no answer", *([""] * (1 + len(criteria)))]
    passed = (
        ("yes" if result.passed else "no")
        if result.asked == 1
        else (f"{result.passes} of {result.asked}")
    )
    scores = [
        f"{float(result.scores[one]):.1f}" if one in result.scores else "" for one in criteria
    ]
    return [passed, f"{float(100 * result.share):.0f} %", *scores]


def _show_totals(screen: "Console", summaries: Sequence[Summary]) -> None:
    criteria = dict.fromkeys(name for summary in summaries for name in summary.scores)
    columns = ["MODEL", "PASSED", "", "CHECKS", *(name.upper() for name in criteria)]
    columns += ["TOKENS", "CALLS", "CACHED", "SPENT $"]
    rows = []
    for one in summaries:
        spent = (one.answers, one.verdicts)
        rows.append(
            [
                _label(one),
                f"{one.passed} of {one.run.plan.prompts}",
                f"{one.percent:.0f} %",
                "" if one.share is None else f"{float(100 * one.share):.0f} %",
                *(
                    f"{float(one.scores[name]):.2f}" if name in one.scores else ""
                    for name in criteria
                ),
                str(sum(part.tokens_in + part.tokens_out for part in spent)),
                str(sum(part.calls for part in spent)),
                str(sum(part.cached for part in spent)),
                _money(spent),
            ]
        )
    _table(screen, columns, rows)


def _show_cautions(screen: "Console", summary: Summary) -> None:
    judge = summary.run.plan.judge
    if judge is not None and summary.run.plan.target.provider == judge.provider:
        screen.print(f"{_label(summary)}: judged by its own kind, which models tend to favour")
    if summary.unjudged:
        screen.print(f"{_label(summary)}: answers without a verdict: {summary.unjudged}")
    for problem in dict.fromkeys(problem for one in summary.results for problem in one.problems):
        prompts = ", ".join(one.prompt for one in summary.results if problem in one.problems)
        said = printable(f"{prompts}: {problem}")
        screen.print(f"{_label(summary)}: {said}", soft_wrap=True)


def _show_unmet(screen: "Console", summary: Summary) -> None:
    screen.print()
    screen.print(f"Not met by {_label(summary)}:")
    for result in summary.results:
        for wanted in result.unmet:
            screen.print(printable(f"  {result.prompt}: {wanted}"), soft_wrap=True)


def _show_comparison(screen: "Console", comparison: Comparison) -> None:
    before, after = comparison.before, comparison.after
    screen.print(f"{_label(after)} compared with {_label(before)} ({printable(before.run.name)})")
    passed = comparison.passed
    rows = [
        [
            "passed",
            f"{before.passed}",
            f"{after.passed}",
            _change(len(comparison.better) - len(comparison.worse)),
            "",
            told(passed),
        ],
        *(_shift_row(shift) for shift in comparison.shifts),
    ]
    _table(screen, ["", "BEFORE", "AFTER", "CHANGE", "95 %", ""], rows)
    for word, names in (("better", comparison.better), ("worse", comparison.worse)):
        if names:
            screen.print(f"{word}: {printable(', '.join(names))}", soft_wrap=True)
    if comparison.left_out:
        names = printable(", ".join(comparison.left_out))
        screen.print(f"left out, as not answered or not the same in both: {names}", soft_wrap=True)
    if not comparison.is_same_judge:
        screen.print("another judge, or none: its scores are not compared")


def _change(count: int) -> str:
    return f"{count:+}" if count else "0"


def _shift_row(shift: Shift) -> list[str]:
    low, high = shift.interval
    change = shift.after - shift.before
    bounds = f"{low:+.2f} … {high:+.2f}"
    return [
        shift.name,
        f"{shift.before:.2f}",
        f"{shift.after:.2f}",
        f"{change:+.2f}",
        bounds,
        told(shift.finding),
    ]


def _table(screen: "Console", columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for number, name in enumerate(columns):
        is_last = number == len(columns) - 1
        is_text = number == 0 or (is_last and not name)
        table.add_column(printable(name), justify="left" if is_text else "right")
    for row in rows:
        table.add_row(*map(printable, row))
    with screen.capture() as printed:
        screen.print(table)
    # Rich fills each line up to the width of the table.
    screen.out("\n".join(line.rstrip() for line in printed.get().splitlines()))


def _label(summary: Summary) -> str:
    return printable(", ".join(summary.models) or str(summary.run.plan.target))


def _money(spent: Sequence[Spending]) -> str:
    unpriced = sum(part.unpriced for part in spent)
    amount = sum((part.cost for part in spent), Decimal())
    return f"{amount:.6f}" + (f" +{unpriced}?" if unpriced else "")
