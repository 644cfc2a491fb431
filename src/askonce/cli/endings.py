"""How a command that cannot go on ends: with one line, and a code that scripts can tell apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from askonce.cli.printable import printable
from askonce.core.errors import ConfigurationError, DatabaseUnavailableError

FAILED = 1
WRONG_SETTING = 2
# As shells have it: 128 and the signal's number.
INTERRUPTED = 130
HUNG_UP = 129
TERMINATED = 143


@contextmanager
def told_in_one_line() -> Iterator[None]:
    """Say what stops a command as a person would, not as a traceback."""
    try:
        yield
    except ConfigurationError as error:
        stop(str(error), WRONG_SETTING)
    except DatabaseUnavailableError:
        stop("the database does not answer (ASKONCE_DATABASE_URL)", FAILED)


def stop(message: str, code: int) -> NoReturn:
    """End the command."""
    typer.echo(f"askonce: {' '.join(printable(message).split())}", err=True)
    raise typer.Exit(code)
