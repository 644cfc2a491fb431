"""`askonce usage`: what was spent and what was saved, beside a running service."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from askonce.cli.audit import moment
from askonce.cli.endings import told_in_one_line
from askonce.core.access import DEFAULT_TENANT
from askonce.core.usage import GroupBy, Totals, UsageFilter, UsageGroup

_BAR_WIDTH = 20


def usage(
    user: Annotated[str | None, typer.Argument(help="Only this user's.")] = None,
    *,
    since: Annotated[str | None, typer.Option(help="From that day (UTC) on: 2026-11-21.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before that day (UTC).")] = None,
    by: Annotated[GroupBy, typer.Option(help="What to add up by.")] = GroupBy.DAY,
    tenant: Annotated[str, typer.Option(help="Of which tenant.")] = DEFAULT_TENANT,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show what was spent and what was saved: calls, tokens, dollars."""
    first, end = moment("--since", since), moment("--until", until)
    wanted = UsageFilter(
        tenant=tenant,
        user_id=user,
        since=None if first is None else first.date(),
        until=None if end is None else end.date(),
        group_by=by,
    )
    with told_in_one_line():
        groups = _groups(wanted)
    total = Totals()
    for group in groups:
        total.add(group.totals)
    if as_json:
        items = [{by.value: group.name, **_facts(group.totals)} for group in groups]
        typer.echo(json.dumps({"items": items, "total": _facts(total)}, indent=2))
    else:
        _print(groups, total, by)


def _groups(wanted: UsageFilter) -> Sequence[UsageGroup]:
    from askonce.config import load_settings
    from askonce.main.operations import existing_database

    with existing_database(load_settings()) as database, database.reading() as tx:
        return tx.usage.summed(wanted)


def _facts(totals: Totals) -> dict[str, Any]:
    return {
        name: f"{fact:f}" if isinstance(fact, Decimal) else fact
        for name, fact in asdict(totals).items()
    }


def _print(groups: Sequence[UsageGroup], total: Totals, by: GroupBy) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_footer=len(groups) > 1)
    columns = [
        (by.value.upper(), "left", "all"),
        ("CALLS", "right", str(total.calls)),
        ("TOKENS", "right", str(total.tokens_in + total.tokens_out)),
        ("SPENT $", "right", _money(total.cost, total.unpriced)),
        ("SAVED CALLS", "right", str(_free(total))),
        ("SAVED TOKENS", "right", str(total.saved_tokens_in + total.saved_tokens_out)),
        ("SAVED $", "right", _money(total.saved_cost, total.saved_unpriced)),
        ("", "left", ""),
    ]
    for name, side, footer in columns:
        table.add_column(name, justify="right" if side == "right" else "left", footer=footer)
    most = max((one.totals.calls + _free(one.totals) for one in groups), default=0)
    for group in groups:
        sums = group.totals
        table.add_row(
            group.name,
            str(sums.calls),
            str(sums.tokens_in + sums.tokens_out),
            _money(sums.cost, sums.unpriced),
            str(_free(sums)),
            str(sums.saved_tokens_in + sums.saved_tokens_out),
            _money(sums.saved_cost, sums.saved_unpriced),
            _bar(sums.calls, _free(sums), most),
        )
    console = Console(highlight=False, markup=False)
    console.print(table)
    if groups:
        console.print("█ calls made  ░ calls saved")
    if total.unpriced or total.saved_unpriced:
        console.print("+?: calls whose cost is not known are not in it")


def _free(totals: Totals) -> int:
    return totals.hits + totals.collapsed + totals.replays


def _money(amount: Decimal, unpriced: int) -> str:
    return f"{amount:.6f}" + (f" +{unpriced}?" if unpriced else "")


def _bar(made: int, saved: int, most: int) -> str:
    """Return a bar as long as a group is busy; whoever did anything has some of it."""
    wide = [-(-count * _BAR_WIDTH // most) if most and count > 0 else 0 for count in (made, saved)]
    return "█" * wide[0] + "░" * wide[1]
