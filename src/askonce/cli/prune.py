"""`askonce prune`: removes what is old, beside a running service."""

import sys
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from askonce.cli.endings import WRONG_SETTING, stop, told_in_one_line
from askonce.core.retention import Gone, Kind

_TOLD_SECONDS = 0.2
_NAMES = {
    Kind.ENTRIES: "expired cache entries",
    Kind.IDEMPOTENCY_KEYS: "old idempotency keys",
    Kind.ANALYSES: "old analyses",
    Kind.ATTEMPTS: "records of old calls",
    Kind.ERASURES: "digests of users who were erased",
    Kind.SIGN_INS: "expired sign-ins of browsers",
    Kind.RATE_LIMITS: "quotas that are whole again",
    Kind.RESERVATIONS: "old charges of unknown cost",
}


def prune(
    *,
    before: Annotated[
        str | None,
        typer.Option(
            help="Remove history older than this, whatever ASKONCE_HISTORY_DAYS says: "
            "2026-11-21, or 2026-11-21T19:07:13Z. Without a zone it is UTC."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing: count what would go.")
    ] = False,
) -> None:
    """Remove expired cache entries, old idempotency keys and, where it is limited, old history.

    Users need not wait meanwhile. It may be stopped at any time, and started again.
    """
    with told_in_one_line():
        history_before = None if before is None else _moment(before)
        totals = _prune(history_before, is_rehearsal=dry_run)
    done = "would be removed" if dry_run else "removed"
    for kind, gone in totals.items():
        answers = f", and {gone.answers} answers that nobody uses" if gone.answers else ""
        typer.echo(f"{gone.rows} {_NAMES[kind]} {done}{answers}")


def _prune(history_before: datetime | None, *, is_rehearsal: bool) -> dict[Kind, Gone]:
    from askonce.config import load_settings
    from askonce.main.operations import pruning

    totals: dict[Kind, Gone] = {}
    told_at = time.monotonic()
    with pruning(load_settings()) as retention:
        for step in retention.prune(history_before=history_before, is_rehearsal=is_rehearsal):
            totals[step.kind] = totals.get(step.kind, Gone()) + step.gone
            if sys.stderr.isatty() and time.monotonic() - told_at > _TOLD_SECONDS:
                told_at = time.monotonic()
                typer.echo(f"\r{totals[step.kind].rows} {_NAMES[step.kind]} …", err=True, nl=False)
            time.sleep(step.rest)
    if sys.stderr.isatty():
        typer.echo("\r\033[K", err=True, nl=False)
    return totals


def _moment(written: str) -> datetime:
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        stop("--before: not a date or a time such as 2026-11-21T19:07:13Z", WRONG_SETTING)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        stop("--before: lies in the future", WRONG_SETTING)
    return moment
