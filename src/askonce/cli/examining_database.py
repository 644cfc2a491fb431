"""Looks at the database, and at the disk that it is on, and leaves nothing behind."""

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from askonce.cli.findings import Finding, Findings, bad, doubtful, good
from askonce.core.addresses import is_loopback
from askonce.core.books import EventFilter
from askonce.core.errors import ConfigurationError, DatabaseUnavailableError
from askonce.core.preferences import Wishes

if TYPE_CHECKING:
    from askonce.config import Settings
    from askonce.db.database import SqlDatabase

_MEBIBYTE = 1024 * 1024
_LITTLE = 1024 * _MEBIBYTE
_TOO_LITTLE = 100 * _MEBIBYTE
# Clocks of machines that are kept by NTP differ by less.
_MOST_AHEAD = timedelta(seconds=5)
_SET_ASIDE = "*.bad"


class _UndoneError(Exception):
    """Ends a transaction whose writes nobody is to see."""


def examine(settings: "Settings") -> Findings:
    """Yield how the database is, step by step as far as one gets."""
    from askonce.db.database import SqlDatabase

    try:
        database = SqlDatabase(settings.database_url, pool_size=2)
    except ConfigurationError as error:
        yield bad("database", str(error), "correct it: sqlite:///askonce.db, postgresql://…")
        return
    try:
        yield from _opened(database, settings)
    finally:
        database.close()


def _opened(database: "SqlDatabase", settings: "Settings") -> Findings:
    if not database.is_there():
        yield good("database", f"{database.name} is not there yet: the first start makes it")
        yield from _disk(database, settings)
        yield _callers(settings, has_keys=False)
        return
    try:
        database.ping()
    except DatabaseUnavailableError:
        mend = "start it; see that host, port, name and password in ASKONCE_DATABASE_URL are right"
        yield bad("database", f"{database.name} does not answer", mend)
        return
    yield good("database", f"{database.name} answers")
    yield from _disk(database, settings)
    schema = _schema(database)
    yield schema
    if schema.mend is None:
        yield _written(database)
        yield _clock(database)
        with database.reading() as tx:
            has_keys = tx.keys.is_any()
        yield _callers(settings, has_keys=has_keys)


def _schema(database: "SqlDatabase") -> Finding:
    from askonce.db.schema import newest, schema_of

    schema = schema_of(database)
    if schema.is_current:
        return good("migrations", f"all are there, the newest is {schema.at}")
    try:
        schema.require_known()
    except ConfigurationError as error:
        return bad("migrations", str(error), "use the version of askonce that it belongs to")
    at = schema.at or "none"
    says = f"the database is at {at}, this version needs {newest()}"
    return bad("migrations", says, "start the service, or run `askonce db upgrade`")


def _written(database: "SqlDatabase") -> Finding:
    try:
        _write_and_undo(database)
    except _UndoneError:
        return good("writing", "a row was written, and undone")
    except DatabaseUnavailableError:
        mend = "see that its file and folder (or its role) may write, and that its disk is not full"
        return bad("writing", "the database can be read, but not written", mend)


def _write_and_undo(database: "SqlDatabase") -> NoReturn:
    with database.transaction() as tx:
        tx.preferences.put("doctor", "doctor", Wishes(), at=datetime.now(UTC))
        raise _UndoneError
    raise AssertionError("what is raised in a transaction comes out of it")


def _clock(database: "SqlDatabase") -> Finding:
    now = datetime.now(UTC)
    with database.reading() as tx:
        newest = tx.trail.newest(EventFilter(limit=1)).items
    ahead = max((booked.event.at - now for booked in newest), default=timedelta(0))
    if ahead > _MOST_AHEAD:
        says = f"the newest event is {ahead.total_seconds():.0f} s from now, in the future"
        return doubtful("clock", says, "set the clocks of all machines by NTP")
    return good("clock", f"{now:%Y-%m-%d %H:%M:%S}Z, after all that was written")


def _disk(database: "SqlDatabase", settings: "Settings") -> Findings:
    from askonce.db.places import spool_folder

    spool = spool_folder(database, settings.spool)
    folders = {"spool": spool}
    if database.is_sqlite:
        folders = {"disk": database.path_beside("").parent, **folders}
    for name, folder in folders.items():
        yield _space(name, _nearest(folder))
    left = len(list(spool.glob(_SET_ASIDE))) if spool.is_dir() else 0
    if left:
        says = f"{left} paid answers could not be brought home: {spool}/{_SET_ASIDE}"
        yield doubtful("spool", says, "look at them, and delete them (docs/operations.md)")


def _space(name: str, folder: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"askonce")
    except OSError as error:
        return bad(name, f"{folder} cannot be written: {error.strerror}", "let askonce write there")
    free = shutil.disk_usage(folder).free
    says = f"{folder}: {free // _MEBIBYTE} MiB are free"
    mend = "make room: askonce prune, ASKONCE_HISTORY_DAYS, or a larger disk"
    if free < _TOO_LITTLE:
        return bad(name, says, mend)
    return doubtful(name, says, mend) if free < _LITTLE else good(name, says)


def _nearest(folder: Path) -> Path:
    """Return a folder that is to be made, or else the one that it will be made in."""
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _callers(settings: "Settings", *, has_keys: bool) -> Finding:
    is_alone = is_loopback(settings.host)
    if has_keys:
        return good("keys", f"callers need one; it listens on {settings.host}")
    if is_alone:
        return good("keys", "there is none, and none is needed: only this machine can call")
    says = f"there is none, and ASKONCE_HOST={settings.host} may be reached from elsewhere"
    return bad("keys", says, "askonce keys create NAME, or ASKONCE_HOST=127.0.0.1")
