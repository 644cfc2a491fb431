"""Where the files stand that belong to a database but are not in it."""

import hashlib
import os
import tempfile
from pathlib import Path

from askonce.db.database import SqlDatabase


def liveness_folder(database: SqlDatabase) -> Path:
    """Return where the processes of this host that share a database hold their locks."""
    if database.is_sqlite:
        return database.path_beside(".live")
    return Path(tempfile.gettempdir()) / f"askonce-{os.getuid()}"


def spool_folder(database: SqlDatabase, chosen: Path | None) -> Path:
    """Return where paid answers wait for their commit into this database, and no other one."""
    if chosen is None and database.is_sqlite:
        return database.path_beside(".spool")
    known_as = hashlib.sha256(database.name.encode()).hexdigest()[:8]
    return (chosen or Path.cwd()) / f"askonce-{known_as}.spool"
