"""`askonce usage`: what was spent and what was saved, beside a running service or told by it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Annotated, Any

import typer

from askonce.cli.audit import moment
from askonce.cli.endings import WRONG_SETTING, stop, told_in_one_line
from askonce.cli.options import AsJson, Key, Tenant, Url, check_user
from askonce.cli.printable import printable
from askonce.cli.reaching import reached
from askonce.cli.showing import console
from askonce.core.access import DEFAULT_TENANT
from askonce.core.usage import GroupBy, Totals, UsageFilter, UsageGroup

_BAR_WIDTH = 20


def usage(
    user: Annotated[str | None, typer.Argument(help="Only this user's.")] = None,
    *,
    since: Annotated[str | None, typer.Option(help="From that day (UTC) on: 2026-11-21.")] = None,
    until: Annotated[str | None, typer.Option(help="Only before that day (UTC).")] = None,
    by: Annotated[GroupBy, typer.Option(help="What to add up by.")] = GroupBy.DAY,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Show what was spent and what was saved: calls, tokens, dollars.

    A running service tells it of one user, the database of all.
    """
    if user is not None:
        check_user("USER", user)
    first, end = moment("--since", since), moment("--until", until)
    wanted = UsageFilter(
        tenant=tenant,
        user_id=user,
        since=None if first is None else first.date(),
        until=None if end is None else end.date(),
        group_by=by,
    )
    with told_in_one_line():
        groups = _groups(wanted, url, key)
    total = Totals()
    for group in groups:
        total.add(group.totals)
    if as_json:
        items = [{by.value: group.name, **_facts(group.totals)} for group in groups]
        typer.echo(json.dumps({"items": items, "total": _facts(total)}, indent=2))
    else:
        _print(groups, total, by)


def _groups(wanted: UsageFilter, url: str | None, key: str | None) -> Sequence[UsageGroup]:
    from askonce.config import load_remote, load_settings
    from askonce.main.operations import existing_database

    if load_remote(url, key).url is not None:
        return _told(wanted, url, key)
    with existing_database(load_settings()) as database, database.reading() as tx:
        return tx.usage.summed(wanted)


def _told(wanted: UsageFilter, url: str | None, key: str | None) -> Sequence[UsageGroup]:
    """Return what a running service tells."""
    from askonce.client.errors import understood

    if wanted.user_id is None:
        stop("USER: a running service tells of one user at a time", WRONG_SETTING)
    with reached(url, key, tenant=wanted.tenant) as client:
        told = client.usage(
            wanted.user_id,
            since=None if wanted.since is None else wanted.since.isoformat(),
            until=None if wanted.until is None else wanted.until.isoformat(),
            group_by=wanted.group_by.value,
        )
        with understood():
            return [
                UsageGroup(printable(item["name"]), _totals(item["spent"], item["saved"]))
                for item in told["items"]
            ]


def _totals(spent: Mapping[str, Any], saved: Mapping[str, Any]) -> Totals:
    return Totals(
        calls=spent["calls"],
        failed=spent["failed"],
        unpriced=spent["unpriced"],
        tokens_in=spent["tokens_in"],
        tokens_out=spent["tokens_out"],
        cost=Decimal(spent["cost_usd"] or 0),
        hits=saved["hits"],
        collapsed=saved["collapsed"],
        replays=saved["replays"],
        saved_unpriced=saved["unpriced"],
        saved_tokens_in=saved["tokens_in"],
        saved_tokens_out=saved["tokens_out"],
        saved_cost=Decimal(saved["cost_usd"] or 0),
    )


def _facts(totals: Totals) -> dict[str, Any]:
    return {
        name: f"{fact:f}" if isinstance(fact, Decimal) else fact
        for name, fact in asdict(totals).items()
    }


def _print(groups: Sequence[UsageGroup], total: Totals, by: GroupBy) -> None:
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
    shown = console()
    shown.print(table)
    if groups:
        shown.print("█ calls made  ░ calls saved")
    if total.unpriced or total.saved_unpriced:
        shown.print("+?: calls whose cost is not known are not in it")


def _free(totals: Totals) -> int:
    return totals.hits + totals.collapsed + totals.replays


def _money(amount: Decimal, unpriced: int) -> str:
    return f"{amount:.6f}" + (f" +{unpriced}?" if unpriced else "")


def _bar(made: int, saved: int, most: int) -> str:
    """Return a bar as long as a group is busy; whoever did anything has some of it."""
    wide = [-(-count * _BAR_WIDTH // most) if most and count > 0 else 0 for count in (made, saved)]
    return "█" * wide[0] + "░" * wide[1]
