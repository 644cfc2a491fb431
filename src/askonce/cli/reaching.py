"""How commands reach the service: a running one, or the same one inside them, on the database.

Either way they are its clients, so that what a command does is what the API does. The service
inside a command is one more process beside those that run: it asks once together with them.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from askonce.cli.endings import FAILED, INTERRUPTED, WRONG_SETTING, stop, told_in_one_line
from askonce.core.access import DEFAULT_TENANT, TENANT_NAME, Operator
from askonce.core.keys import RANDOM_BYTES, digest_of, text_of

if TYPE_CHECKING:
    from askonce.client import Client, Patience, ProblemError
    from askonce.config import Remote, Settings

# What it takes to commit and send an answer that came right before its deadline.
_GRACE_SECONDS = 10


@contextmanager
def reached(
    url: str | None,
    key: str | None,
    *,
    tenant: str = DEFAULT_TENANT,
    is_verbose: bool = False,
    patience: "Patience | None" = None,
    is_new_fine: bool = True,
) -> "Iterator[Client]":
    """Give a client of the service at a URL (or at `ASKONCE_URL`), else of one on the database.

    On the database the command is its operator: an admin of `tenant`, who needs no key. What the
    service refuses, and the caller does not catch, ends the command with one line; so does Ctrl-C,
    once the calls that are being paid for are finished and kept. `is_verbose` shows the log of the
    service inside on standard error; `patience` is the client's. Unless `is_new_fine`, no database
    is set up for the command.

    Raises:
        typer.Exit: the command is over.
    """
    from askonce.client import ClientError, ProblemError
    from askonce.config import load_remote

    try:
        with told_in_one_line():
            remote = load_remote(url, key)
            with (
                _on_the_database(
                    tenant, is_verbose=is_verbose, is_new_fine=is_new_fine, patience=patience
                )
                if remote.url is None
                else _at(remote, tenant, patience)
            ) as client:
                yield client
    except ProblemError as problem:
        stop(told(problem), FAILED)
    except ClientError as error:
        stop(f"{error} (--url, ASKONCE_URL)", FAILED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def told(problem: "ProblemError") -> str:
    """Return in one line what the service refused, which fields are at fault, and where to look."""
    faults = "; ".join(f"{fault.field}: {fault.message}" for fault in problem.errors)
    said = f"{problem.detail} {faults}" if faults else problem.detail
    request = f", request {problem.request_id}" if problem.request_id else ""
    return f"{said} ({problem.status} {problem.type}{request})"


def _at(remote: "Remote", tenant: str, patience: "Patience | None") -> "Client":
    from askonce.client import Client

    if tenant != DEFAULT_TENANT:
        stop("--tenant: at a URL the key says which tenant is meant", WRONG_SETTING)
    key = None if remote.key is None else remote.key.get_secret_value()
    return Client(remote.url, key, patience=patience)


@contextmanager
def _on_the_database(
    tenant: str, *, is_verbose: bool, is_new_fine: bool, patience: "Patience | None"
) -> "Iterator[Client]":
    from askonce.cli.inside import served_inside
    from askonce.client import Client
    from askonce.config import load_settings
    from askonce.main.operations import migrate
    from askonce.main.process import assemble

    if not TENANT_NAME.fullmatch(tenant):
        stop("--tenant: 1 to 64 characters of A-Z a-z 0-9 . _ @ : + -", WRONG_SETTING)
    settings = load_settings()
    if not is_verbose:
        settings = _quiet(settings)
    key = text_of(secrets.token_bytes(RANDOM_BYTES))
    operator = Operator(tenant=tenant, digest=digest_of(key.encode()))
    # First of all, so that what is wrong with the database is told as what it is.
    migrate(settings, is_new_fine=is_new_fine)
    app, _ = assemble(settings, operator=operator)
    timeout = settings.deadline + settings.commit_patience + _GRACE_SECONDS
    with (
        served_inside(app, grace=settings.deadline + _GRACE_SECONDS) as socket,
        Client(
            "http://localhost", key, timeout=timeout, patience=patience, socket=socket
        ) as client,
    ):
        yield client


def _quiet(settings: "Settings") -> "Settings":
    """Return settings under which nothing is told of a service that nobody else sees."""
    return settings.model_copy(update={"log_level": "CRITICAL", "traces": "off"})
