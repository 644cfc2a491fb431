"""`askonce history`: what a user asked and was answered."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.endings import WRONG_SETTING, stop
from askonce.cli.options import AsJson, Key, Tenant, Url, User, Verbose
from askonce.cli.printable import printable
from askonce.cli.reaching import reached
from askonce.cli.showing import as_json, console, dollars, facts_of, note, say, taken
from askonce.core.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from askonce.client import Analysis

app = typer.Typer(help="List, search, show and delete what a user asked.")

# A cell has one line; what is longer is cut by the table at the terminal's edge.
_CELL_CHARACTERS = 200


@app.callback(
    invoke_without_command=True,
)
def history(
    context: typer.Context,
    *,
    user: User,
    q: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Text or answer has all these words.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Only by this provider.")] = None,
    model: Annotated[str | None, typer.Option(help="Only by this model.")] = None,
    cached: Annotated[
        bool | None,
        typer.Option("--cached/--asked", help="Only what was remembered; only what was asked."),
    ] = None,
    since: Annotated[str | None, typer.Option(help="Not before: 2026-11-21 (UTC).")] = None,
    until: Annotated[str | None, typer.Option(help="Before: 2026-11-21T19:07:13Z.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many at most.")] = 10,
    as_facts: Annotated[
        bool, typer.Option("--json", help="For programs: an object a line, with all of its text.")
    ] = False,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    verbose: Verbose = False,
) -> None:
    """List what a user asked, newest first; search it, and delete some of it."""
    if context.invoked_subcommand is not None:
        return
    with reached(url, key, tenant=tenant, is_verbose=verbose, is_new_fine=False) as client:
        found = client.history(
            user,
            q=q,
            provider=provider,
            model=model,
            cached=cached,
            since=since,
            until=until,
            limit=limit,
        )
        if as_facts:
            for analysis in found:
                typer.echo(as_json(facts_of(analysis), indent=None))
        else:
            _print(found)


@app.command()
def show(
    analysis_id: Annotated[int, typer.Argument(metavar="ID", help="As the list has it.")],
    *,
    user: User,
    as_facts: AsJson = False,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    verbose: Verbose = False,
) -> None:
    """Show one analysis whole: the text, the answer, what it took."""
    with reached(url, key, tenant=tenant, is_verbose=verbose, is_new_fine=False) as client:
        analysis = client.analysis(user, analysis_id)
    if as_facts:
        typer.echo(as_json(facts_of(analysis)))
        return
    note(f"{analysis.created_at:%Y-%m-%d %H:%M:%S}Z, {analysis.user_id} asked:")
    say([analysis.text or ""])
    note(f"{'remembered, nothing spent: ' if analysis.cached else ''}{taken(analysis)}:")
    say([analysis.result])


@app.command()
def delete(
    analysis_ids: Annotated[list[int], typer.Argument(metavar="ID...", help="Which.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before.")] = False,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    verbose: Verbose = False,
) -> None:
    """Delete analyses for good; with its last use an answer is forgotten, too."""
    if not yes:
        if not sys.stdin.isatty():
            stop("--yes: nobody is there to be asked", WRONG_SETTING)
        named = ", ".join(map(str, analysis_ids))
        typer.confirm(f"Delete {named} for good?", abort=True, err=True)
    with reached(url, key, tenant=tenant, is_verbose=verbose, is_new_fine=False) as client:
        for analysis_id in analysis_ids:
            client.delete_analysis(analysis_id)
            note(f"{analysis_id} is deleted")


def _print(found: "Iterable[Analysis]") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, expand=True)
    for name, is_right in {
        "ID": True,
        "AT (UTC)": False,
        "MODEL": False,
        "TOKENS": True,
        "COST": True,
    }.items():
        table.add_column(name, justify="right" if is_right else "left", no_wrap=True)
    for name in ("TEXT", "ANSWER"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", ratio=1)
    for analysis in found:
        table.add_row(
            str(analysis.id),
            f"{analysis.created_at:%Y-%m-%d %H:%M}",
            printable(analysis.model),
            "-" if analysis.cached else str(analysis.tokens_used),
            "saved" if analysis.cached else dollars(analysis.cost_usd),
            _line(analysis.text or ""),
            _line(analysis.result),
        )
    if table.row_count:
        console().print(table)
    else:
        note("Nothing is found.")


def _line(text: str) -> str:
    return " ".join(printable(text[:_CELL_CHARACTERS]).split())
