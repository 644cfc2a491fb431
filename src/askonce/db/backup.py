"""Copies a database into one file while it is being used, by the database's own tool."""

import os
import re
import secrets
import shutil
import sqlite3
import subprocess  # nosec B404
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import text

from askonce.db.database import SqlDatabase, translated

_TOOL = "pg_dump"


class BackupError(Exception):
    """There is no backup. The message is one line and says why."""


def back_up(database: SqlDatabase, file: Path) -> None:
    """Write all that is committed now into a new file, and return when it is on the disk.

    From SQLite comes an SQLite file, from PostgreSQL an archive for `pg_restore`. Under its name
    the file is either whole or not there.

    Raises:
        BackupError: the file exists, cannot be written, or the tool is missing or fails.
        DatabaseUnavailableError: the database does not answer.
    """
    if file.exists():
        raise BackupError(f"{file} exists; backups do not overwrite")
    # Its folder, so that it can be renamed into place.
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}.partial")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        (_copy_sqlite if database.is_sqlite else _dump_postgresql)(database, partial)
        _sync(partial)
        _put_in_place(partial, file)
        _sync(file.parent)
    except OSError as error:
        raise BackupError(f"{file}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _copy_sqlite(database: SqlDatabase, partial: Path) -> None:
    source = database.path_beside("")
    try:
        with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(partial)) as here:
            # All pages in one step, which is one view of the database. In several, it would begin
            # anew whenever another process writes.
            there.backup(here)
            # One file, with nothing beside it: the copy may be opened where it cannot be written.
            here.execute("PRAGMA journal_mode = DELETE")
            complaint = here.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise BackupError(f"{source}: {error}") from None
    if complaint != "ok":
        raise BackupError(f"{source} is damaged: {complaint}")


def _dump_postgresql(database: SqlDatabase, partial: Path) -> None:
    tool = shutil.which(_TOOL)
    if tool is None:
        raise BackupError(
            f"{_TOOL} is not on the PATH; it comes with PostgreSQL's client programs "
            "(Debian: apt-get install postgresql-client)"
        )
    _require_recent(tool, database)
    url = database.url
    # In the environment: the arguments of a process can be read by everybody on its machine.
    secret = {} if url.password is None else {"PGPASSWORD": url.password}
    address = url.set(drivername="postgresql", password=None).render_as_string()
    # The tool that is on the PATH is the one that is wanted.
    done = subprocess.run(  # noqa: S603  # nosec B603
        [tool, "--format=custom", "--no-password", f"--file={partial}", f"--dbname={address}"],
        env={**os.environ, **secret},
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise BackupError(said[0] if said else f"{_TOOL} ended with {done.returncode}")


def _require_recent(tool: str, database: SqlDatabase) -> None:
    said = subprocess.run(  # noqa: S603  # nosec B603
        [tool, "--version"], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"(\d+)", said)
    with translated(), database.engine.connect() as connection:
        number = connection.execute(text("SHOW server_version_num")).scalar_one()
    server = int(number) // 10_000
    if found is None or int(found[1]) < server:
        raise BackupError(
            f"{tool} is of version {found and found[1]}, and the server of {server}: "
            f"put a {_TOOL} of version {server} or newer first on the PATH"
        )


def _put_in_place(partial: Path, file: Path) -> None:
    """Give the file its name, and take it from nobody."""
    try:
        os.link(partial, file)
    except FileExistsError:
        raise BackupError(f"{file} exists; backups do not overwrite") from None
    except OSError:
        # Some file systems know no links.
        if file.exists():
            raise BackupError(f"{file} exists; backups do not overwrite") from None
        partial.rename(file)


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
