"""`askonce budgets`: how much may be spent. Works on the database, beside running services."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.endings import FAILED, WRONG_SETTING, stop, told_in_one_line
from askonce.core.access import DEFAULT_TENANT
from askonce.core.budgets import Kind, Period, Scope, Standing, Unit, dollars, picodollars

if TYPE_CHECKING:
    from askonce.services.budgeting import Budgeting

app = typer.Typer(no_args_is_help=True, help="Set, list and remove budgets.")

_USER = re.compile(r"[A-Za-z0-9._@:+-]{1,128}")
_TENANT = re.compile(r"[A-Za-z0-9._@:+-]{1,64}")
_DOLLARS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?", re.ASCII)
_MOST_TOKENS = 10**15
_COLUMNS = ("TENANT", "FOR", "LIMIT", "PER", "SPENT", "UNKNOWN", "RESERVED", "SINCE")

Tenant = Annotated[
    str | None, typer.Option(help=f"A tenant; with --user or --key, theirs. [{DEFAULT_TENANT}]")
]
User = Annotated[str | None, typer.Option(help="A user: whatever is asked for them.")]
Key = Annotated[str | None, typer.Option(help="A key, by its name or id.")]
Per = Annotated[Period, typer.Option(help="Budgets begin anew with each of these, in UTC.")]


@app.command("set")
def put(
    *,
    tenant: Tenant = None,
    user: User = None,
    key: Key = None,
    usd: Annotated[str | None, typer.Option(help="US dollars, such as 5.00.")] = None,
    tokens: Annotated[
        int | None, typer.Option(min=0, max=_MOST_TOKENS, help="Tokens, in and out together.")
    ] = None,
    per: Per,
) -> None:
    """Set how much calls may cost somebody in a day or a month, or change it.

    It counts within a second, everywhere. What is cached costs nothing.
    """
    if (usd is None) == (tokens is None):
        stop("--usd, --tokens: one of them is needed", WRONG_SETTING)
    if usd is not None and _DOLLARS.fullmatch(usd) is None:
        stop("--usd: not an amount such as 5.00 (six decimals at most)", WRONG_SETTING)
    with _budgeting() as budgeting:
        unit = Unit.TOKENS if usd is None else Unit.USD
        scope = _scope(budgeting, tenant, user, key, unit, per)
        amount = tokens if tokens is not None else picodollars(Decimal(usd or 0))
        budgeting.put(scope, amount)
    typer.echo(f"{_told(scope)} may cost {_shown(amount, unit)} per {per.value}")


@app.command("list")
def show(*, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List all budgets, with what has been spent of them in the present day or month.

    UNKNOWN is the part of SPENT that was charged for calls whose cost nobody knows, RESERVED what
    calls in flight may cost at most.
    """
    with _budgeting() as budgeting:
        standings = budgeting.standings()
    if as_json:
        typer.echo(json.dumps([_facts(standing) for standing in standings], indent=2))
        return
    rows = [_COLUMNS, *map(_row, standings)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


@app.command()
def remove(
    *,
    tenant: Tenant = None,
    user: User = None,
    key: Key = None,
    unit: Annotated[Unit, typer.Option(help="Which of their budgets.")],
    per: Per,
) -> None:
    """Remove a budget, and forget what was spent of it."""
    with _budgeting() as budgeting:
        scope = _scope(budgeting, tenant, user, key, unit, per)
        if not budgeting.remove(scope):
            stop(f"{_told(scope)} has no budget in {unit.value} per {per.value}", FAILED)
    typer.echo(f"{_told(scope)} may cost any number of {unit.value} per {per.value} again")


@contextmanager
def _budgeting() -> "Iterator[Budgeting]":
    from askonce.config import load_settings
    from askonce.main.operations import budgeting

    with told_in_one_line(), budgeting(load_settings()) as opened:
        yield opened


def _scope(  # noqa: PLR0917 - as they come
    budgeting: "Budgeting",
    tenant: str | None,
    user: str | None,
    key: str | None,
    unit: Unit,
    period: Period,
) -> Scope:
    if user is not None and key is not None:
        stop("--user, --key: a budget is for one of them", WRONG_SETTING)
    if tenant is None and user is None and key is None:
        stop("say for whom: --tenant, --user or --key", WRONG_SETTING)
    if tenant is not None and _TENANT.fullmatch(tenant) is None:
        stop("--tenant: not a tenant's name", WRONG_SETTING)
    if user is not None and _USER.fullmatch(user) is None:
        stop("--user: not a user's id", WRONG_SETTING)
    of = tenant or DEFAULT_TENANT
    kind, name = Kind.TENANT, ""
    if user is not None:
        kind, name = Kind.USER, user
    elif key is not None:
        key_id = budgeting.key_id(of, key)
        if key_id is None:
            stop(f"--key: the tenant {of} has no such key", WRONG_SETTING)
        kind, name = Kind.KEY, str(key_id)
    return Scope(tenant=of, kind=kind, name=name, unit=unit, period=period)


def _told(scope: Scope) -> str:
    whom = f"the {scope.kind.value} {scope.name}" if scope.name else "all"
    return f"what {whom} of the tenant {scope.tenant} asks"


def _shown(amount: int, unit: Unit) -> str:
    if unit is Unit.TOKENS:
        return f"{amount} tokens"
    return f"{_written(amount, unit)} USD"


def _written(amount: int, unit: Unit) -> str:
    """Return an amount to the last digit, dollars with two decimals at least."""
    if unit is Unit.TOKENS:
        return str(amount)
    whole, _, rest = f"{dollars(amount):.12f}".partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def _row(standing: Standing) -> tuple[str, ...]:
    scope, unit = standing.budget.scope, standing.budget.scope.unit
    return (
        scope.tenant,
        f"{scope.kind.value} {scope.name}".strip(),
        _shown(standing.budget.amount, unit),
        scope.period.value,
        _written(standing.spent, unit),
        _written(standing.unknown, unit),
        _written(standing.reserved, unit),
        f"{standing.starts_at:%Y-%m-%d}",
    )


def _facts(standing: Standing) -> dict[str, object]:
    scope = standing.budget.scope

    def amount(of: int) -> str | int:
        return of if scope.unit is Unit.TOKENS else _written(of, scope.unit)

    return {
        "tenant": scope.tenant,
        "kind": scope.kind.value,
        "name": scope.name or None,
        "unit": scope.unit.value,
        "per": scope.period.value,
        "limit": amount(standing.budget.amount),
        "spent": amount(standing.spent),
        "unknown": amount(standing.unknown),
        "reserved": amount(standing.reserved),
        "since": f"{standing.starts_at:%Y-%m-%dT%H:%M:%SZ}",
    }
