"""`askonce audit`: the trail of what touched data or money, beside a running service."""

import json
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askonce.cli.endings import FAILED, WRONG_SETTING, stop, told_in_one_line
from askonce.core.books import Booked, EventFilter
from askonce.core.events import Action

if TYPE_CHECKING:
    from askonce.services.verifying import Finding, Verdict

app = typer.Typer(no_args_is_help=True, help="Prove, keep and read the audit trail.")

_TOLD_SECONDS = 0.2
_AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def verify(
    *,
    head: Annotated[
        list[str] | None,
        typer.Option(
            help="What `askonce audit head` printed earlier, and was kept elsewhere. May be given"
            " several times."
        ),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Look through the whole trail, and name what was changed, removed or put in first.

    Without a head that was kept elsewhere, whoever can write to the database may cut off the end
    of the trail, or write all of it anew. Ends with 1 where something is wrong.
    """
    with told_in_one_line():
        verdict = _verdict(head or [])
    if as_json:
        typer.echo(json.dumps(_facts(verdict), indent=2))
    else:
        _tell(verdict)
    if not verdict.is_good:
        raise typer.Exit(FAILED)


@app.command("head")
def show_head(*, as_json: _AsJson = False) -> None:
    """Print the head: keep it where nobody who can write to the database can change it."""
    from askonce.config import load_settings
    from askonce.main.operations import existing_database
    from askonce.services.verifying import head_of

    with (
        told_in_one_line(),
        existing_database(load_settings()) as database,
        database.reading() as tx,
    ):
        seal = tx.seals.newest()
    if seal is None:
        stop("nothing has been sealed yet", FAILED)
    if as_json:
        at = seal.at.isoformat()
        typer.echo(json.dumps({"head": head_of(seal), "events": seal.total, "sealed_at": at}))
    else:
        typer.echo(
            f"{seal.total} events, the last sealed at {seal.at:%Y-%m-%d %H:%M:%S}Z", err=True
        )
        typer.echo(head_of(seal))


@app.command("list")
def show(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only this tenant.")] = None,
    user: Annotated[str | None, typer.Option(help="Only this user's data.")] = None,
    action: Annotated[Action | None, typer.Option(help="Only this action.")] = None,
    since: Annotated[
        str | None, typer.Option(help="2026-11-21, or 2026-11-21T19:07:13Z. Without a zone: UTC.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before that time.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many at most.")] = 20,
    as_json: _AsJson = False,
) -> None:
    """List events, newest first."""
    wanted = EventFilter(
        tenant=tenant,
        user_id=user,
        action=action,
        since=moment("--since", since),
        until=moment("--until", until),
        limit=min(limit, 1000),
    )
    with told_in_one_line():
        found = _found(wanted, limit)
    if as_json:
        for booked in found:
            typer.echo(json.dumps(_event(booked)))
    else:
        _print(found)


def moment(option: str, written: str | None) -> datetime | None:
    """Return the moment that an option names."""
    if written is None:
        return None
    try:
        read = datetime.fromisoformat(written)
    except ValueError:
        stop(f"{option}: not a date or a time such as 2026-11-21T19:07:13Z", WRONG_SETTING)
    return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)


def _verdict(written: list[str]) -> "Verdict":
    from askonce.config import load_settings
    from askonce.main.operations import existing_database
    from askonce.services.verifying import Head, Verification

    try:
        heads = [Head.read(one) for one in written]
    except ValueError:
        stop("--head: not what `askonce audit head` prints", WRONG_SETTING)
    told_at = time.monotonic()

    def told(events: int) -> None:
        nonlocal told_at
        if sys.stderr.isatty() and time.monotonic() - told_at > _TOLD_SECONDS:
            told_at = time.monotonic()
            typer.echo(f"\r{events} events …", err=True, nl=False)

    with existing_database(load_settings()) as database:
        verdict = Verification(database).run(heads, told=told)
    if sys.stderr.isatty():
        typer.echo("\r\033[K", err=True, nl=False)
    return verdict


def _tell(verdict: "Verdict") -> None:
    finding = verdict.finding
    if finding is None:
        typer.echo(f"good: {verdict.events} events under {verdict.seals} seals are as they were")
        if verdict.unsealed:
            typer.echo(f"{verdict.unsealed} more are not sealed yet: nothing can be said of them")
        if verdict.head is not None:
            typer.echo(f"head {verdict.head}")
        return
    typer.echo(f"wrong: {_sentence(finding)}")
    typer.echo(f"{verdict.events} events under {verdict.seals} seals before that are as they were")
    if finding.sealed_up_to is not None:
        typer.echo(f"a head proves that no event up to {finding.sealed_up_to} was changed")


def _sentence(finding: "Finding") -> str:
    from askonce.services.verifying import Wrong

    match finding.wrong:
        case Wrong.HEAD_UNKNOWN:
            return f"{finding.wrong.value} (seal {finding.seal})"
        case Wrong.SEAL_REMOVED:
            return f"seal {finding.seal} was removed"
        case Wrong.SEAL_CHANGED:
            first = "" if finding.event is None else f", which begins with event {finding.event},"
            return f"seal {finding.seal}{first} was changed, or the seal before it"
        case Wrong.MOVED:
            return f"event {finding.event} is what was sealed as event {finding.belongs}"
    return f"event {finding.event} {finding.wrong.value} (seal {finding.seal})"


def _facts(verdict: "Verdict") -> dict[str, Any]:
    finding = verdict.finding
    return {
        "good": verdict.is_good,
        "events": verdict.events,
        "seals": verdict.seals,
        "unsealed": verdict.unsealed,
        "head": verdict.head,
        "wrong": None
        if finding is None
        else {
            "what": finding.wrong.name.lower(),
            "seal": finding.seal,
            "event": finding.event,
            "belongs": finding.belongs,
            "proved_up_to": finding.sealed_up_to,
        },
    }


def _found(wanted: EventFilter, limit: int) -> list[Booked]:
    from askonce.config import load_settings
    from askonce.main.operations import existing_database

    found: list[Booked] = []
    with existing_database(load_settings()) as database:
        while len(found) < limit:
            with database.reading() as tx:
                page = tx.trail.newest(wanted)
            found += page.items
            if page.before_id is None:
                break
            wanted = replace(wanted, before_id=page.before_id)
    return found[:limit]


def _event(booked: Booked) -> dict[str, Any]:
    event = booked.event
    return {
        "id": booked.id,
        "at": event.at.isoformat(),
        "tenant": event.tenant,
        "action": event.action.value,
        "outcome": event.outcome,
        "user_id": event.user_id,
        "key_id": event.key_id,
        "request_id": event.request_id or None,
        "provider": event.provider,
        "model": event.model,
        "tokens_in": event.tokens_in,
        "tokens_out": event.tokens_out,
        "cost_usd": None if event.cost is None else f"{event.cost:f}",
        "digest": event.digest,
        "about": dict(event.about),
    }


def _print(found: list[Booked]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("ID", "AT (UTC)", "ACTION", "OUTCOME", "TENANT", "USER", "KEY", "MODEL", "ABOUT"):
        table.add_column(name, overflow="fold")
    for booked in found:
        event = booked.event
        table.add_row(
            str(booked.id),
            f"{event.at:%Y-%m-%d %H:%M:%S}",
            event.action.value,
            event.outcome,
            event.tenant,
            event.user_id,
            None if event.key_id is None else str(event.key_id),
            event.model,
            " ".join(f"{name}={fact}" for name, fact in event.about.items()),
        )
    Console(highlight=False, markup=False).print(table)
