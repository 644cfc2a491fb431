"""`askonce keys`: who may call. Works on the database itself, beside a running service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from askonce.cli.endings import FAILED, WRONG_SETTING, stop, told_in_one_line
from askonce.core.access import DEFAULT_TENANT, Role
from askonce.core.errors import ConflictError, InvalidFieldsError, NotFoundError

if TYPE_CHECKING:
    from askonce.core.keys import Key
    from askonce.services.keys import Keys

app = typer.Typer(no_args_is_help=True, help="Make, list, rotate and revoke the keys of callers.")

Tenant = Annotated[str, typer.Option(help="The tenant that the key belongs to.")]
NameOrId = Annotated[str, typer.Argument(metavar="NAME|ID", help="As `askonce keys list` has it.")]

_ONCE = "This is the only time that the key is shown: what is kept of it is a hash."
_COLUMNS = ("ID", "TENANT", "NAME", "ROLE", "USER", "KEY", "MADE", "STATE")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What it is for; one name, one key.")],
    *,
    tenant: Tenant = DEFAULT_TENANT,
    user: Annotated[str | None, typer.Option(help="It reaches this user alone.")] = None,
    service: Annotated[
        bool, typer.Option("--service", help="It reaches all users of its tenant. [default]")
    ] = False,
    admin: Annotated[
        bool, typer.Option("--admin", help="As --service, and the audit trail.")
    ] = False,
) -> None:
    """Make a key. It alone goes to standard output: KEY=$(askonce keys create NAME)."""
    if (user is not None) + service + admin > 1:
        stop("--user, --service, --admin: a key is for one of them", WRONG_SETTING)
    role = Role.USER if user is not None else Role.ADMIN if admin else Role.SERVICE
    with _keys() as keys:
        try:
            made = keys.create(name, tenant=tenant, role=role, user_id=user)
        except ConflictError:
            stop(f"there is a key {name} already: rotate or revoke it", FAILED)
    typer.echo(f"{_told(made.key)}\n{_ONCE}", err=True)
    typer.echo(made.text)


@app.command("list")
def show(
    *,
    tenant: Annotated[str | None, typer.Option(help="Only the keys of this tenant.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List all keys, those that were revoked included. No key can be read from it."""
    with _keys() as keys:
        found = keys.all(tenant)
    now = datetime.now(UTC)
    if as_json:
        typer.echo(json.dumps([_facts(key, now) for key in found], indent=2))
    else:
        typer.echo(_table([_COLUMNS, *(_row(key, now) for key in found)]))


@app.command()
def revoke(key: NameOrId, *, tenant: Tenant = DEFAULT_TENANT) -> None:
    """Make a key good no more, everywhere within a second. It cannot be made good again."""
    with _keys() as keys:
        revoked = keys.revoke(key, tenant=tenant)
    typer.echo(f"{_told(revoked)} It is revoked.", err=True)


@app.command()
def rotate(
    key: NameOrId,
    *,
    tenant: Tenant = DEFAULT_TENANT,
    grace: Annotated[
        int, typer.Option(metavar="SECONDS", help="For how long the old text is good, too.")
    ] = 0,
) -> None:
    """Give a key a new text, which alone goes to standard output; all else about it stays."""
    with _keys() as keys:
        made = keys.rotate(key, tenant=tenant, grace=timedelta(seconds=grace))
    old = f"The old one is good for {grace} s more." if grace else "The old one is good no more."
    typer.echo(f"{_told(made.key)} {old}\n{_ONCE}", err=True)
    typer.echo(made.text)


@contextmanager
def _keys() -> "Iterator[Keys]":
    from askonce.config import load_settings
    from askonce.main.operations import keyring

    with told_in_one_line():
        try:
            with keyring(load_settings()) as keys:
                yield keys
        except NotFoundError:
            stop("no key that is good is called so: see `askonce keys list`", FAILED)
        except InvalidFieldsError as error:
            wrong = "; ".join(f"{one.field}: {one.message}" for one in error.errors)
            stop(wrong, WRONG_SETTING)


def _told(key: "Key") -> str:
    reached = f"user {key.user_id}" if key.user_id is not None else "all users"
    return f"Key {key.id}, {key.name} ({key.role}), reaches {reached} of tenant {key.tenant}."


def _state(key: "Key", now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {_moment(key.revoked_at)}"
    if key.previous_until is not None and key.previous_until > now:
        return f"good; the old one until {_moment(key.previous_until)}"
    return "good"


def _row(key: "Key", now: datetime) -> tuple[str, ...]:
    facts = (key.tenant, key.name, key.role.value, key.user_id or "-", f"{key.shown}...")
    return (str(key.id), *facts, _moment(key.created_at), _state(key, now))


def _facts(key: "Key", now: datetime) -> dict[str, Any]:
    is_good = key.revoked_at is None
    old_until = key.previous_until if key.previous_until and key.previous_until > now else None
    moments = {
        "created_at": key.created_at,
        "rotated_at": key.rotated_at,
        "old_until": old_until,
        "revoked_at": key.revoked_at,
    }
    return {
        "id": key.id,
        "tenant": key.tenant,
        "name": key.name,
        "role": key.role.value,
        "user_id": key.user_id,
        "shown": key.shown,
        "is_good": is_good,
        **{name: None if at is None else _moment(at) for name, at in moments.items()},
    }


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
