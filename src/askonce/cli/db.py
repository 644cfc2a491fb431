"""`askonce db …`: the schema, backups, and the way to another database."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.endings import FAILED, WRONG_SETTING, stop, told_in_one_line

if TYPE_CHECKING:
    from askonce.config import Settings
    from askonce.db.copying import Copied
    from askonce.db.database import SqlDatabase

app = typer.Typer(no_args_is_help=True, help="Upgrade, check, back up or move the database.")


@app.command()
def upgrade() -> None:
    """Bring the database to the schema of this version. Run it once, before a new version starts.

    Several may be started at once: one does it, the others wait.
    """
    with chosen() as database:
        from askonce.db import migrating

        migrating.upgrade(database)
        _say_where(database)


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="The last revision to keep, such as 0003.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the database back to an older schema. What only newer tables hold is lost.

    Stop askonce and make a backup before; then start the older version.
    """
    with chosen(must_exist=True) as database:
        from askonce.db import migrating

        if not yes:
            typer.confirm(f"Lose what was added after {revision}?", abort=True, err=True)
        migrating.downgrade(database, revision)
        _say_where(database)


@app.command()
def current() -> None:
    """Say which schema the database has, and which this version needs."""
    with chosen(must_exist=True) as database:
        _say_where(database)


@app.command()
def check() -> None:
    """End with 0 if this version can start on the database as it is, else say what is wrong.

    An SQLite file is also read from end to end, to see whether it is damaged.
    """
    with chosen(must_exist=True) as database:
        from askonce.db import migrating
        from askonce.db.damage import damage

        # First: what is damaged may not be able to say which schema it has.
        found = damage(database)
        if found is not None:
            stop(f"{database.name} is damaged: {found}", FAILED)
        migrating.require_current(database)
        _say_where(database)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
) -> None:
    """Write everything into one file, while the service runs.

    SQLite gives an SQLite file; PostgreSQL an archive for pg_restore, by pg_dump.
    """
    with chosen(must_exist=True) as database:
        from askonce.db.backup import BackupError, back_up

        try:
            back_up(database, file)
        except BackupError as error:
            stop(str(error), FAILED)
        typer.echo(f"{file}: {file.stat().st_size} bytes")


@app.command()
def copy(
    to: Annotated[str, typer.Option(help="URL of an empty database, such as postgresql://…")],
) -> None:
    """Copy everything to another database, ids included, and compare both afterwards.

    Stop askonce before. If it is interrupted, run it again: it goes on where it was.
    """
    with chosen(must_exist=True) as source:
        from askonce.config import load_settings
        from askonce.db.copying import CopyError
        from askonce.db.copying import copy as copied
        from askonce.db.places import spool_folder

        target = _target(to)
        spool = spool_folder(source, load_settings().spool)
        try:
            for step in copied(source, target, spool=spool):
                _tell(step)
        except CopyError as error:
            stop(str(error), FAILED)
        finally:
            target.close()
        typer.echo(f"all is in {target.name} now: set ASKONCE_DATABASE_URL to it")


@contextmanager
def chosen(*, must_exist: bool = False) -> Iterator["SqlDatabase"]:
    """Give the database that the settings name, and tell in one line what is wrong with it."""
    from askonce.config import load_settings
    from askonce.core.errors import ConfigurationError
    from askonce.db.database import SqlDatabase
    from askonce.telemetry import log

    with told_in_one_line():
        settings: Settings = load_settings()
        log.configure(settings.log_level, settings.log_format)
        database = SqlDatabase(settings.database_url, pool_size=2)
        try:
            if must_exist and not database.is_there():
                message = f"ASKONCE_DATABASE_URL: there is no database at {database.name}"
                raise ConfigurationError(message)
            yield database
        finally:
            database.close()


def _target(url: str) -> "SqlDatabase":
    from askonce.core.errors import ConfigurationError, DatabaseUnavailableError
    from askonce.db.database import SqlDatabase

    try:
        target = SqlDatabase(url, pool_size=2)
        target.ping()
    except ConfigurationError as error:
        stop(str(error).replace("ASKONCE_DATABASE_URL", "--to"), WRONG_SETTING)
    except DatabaseUnavailableError:
        stop("the database does not answer (--to)", FAILED)
    return target


def _say_where(database: "SqlDatabase") -> None:
    from askonce.db.schema import newest, schema_of

    schema = schema_of(database)
    needed = "" if schema.is_current else f" (this version of askonce needs {newest()})"
    typer.echo(f"{schema.at or 'no tables'}{needed}")


def _tell(step: "Copied") -> None:
    if step.is_verified:
        typer.echo(f"{step.table}: {step.rows} rows, the same")
    elif sys.stderr.isatty():
        typer.echo(f"\r\033[K{step.table}: {step.rows} of {step.of}", err=True, nl=False)
    else:
        typer.echo(f"{step.table}: {step.rows} of {step.of}", err=True)
