"""Tells at once that another process on this host died, because the kernel drops its lock."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from askonce.core.errors import ConfigurationError


class LockedFiles:
    """Each process holds a lock on a file of its own for as long as it lives.

    A file that is not there says nothing: its process may live in another container or on another
    host. Only a file that is there and not locked says that its process is dead.
    """

    def __init__(self, folder: Path, owner: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            # Somebody else's locks could make living processes look dead.
            message = f"{folder} belongs to another user; remove it"
            raise ConfigurationError(message)
        self._folder = folder
        self._own = folder / owner
        self._file = os.open(self._own, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._sweep()

    def is_dead(self, owner: str) -> bool:
        """Return whether the process that calls itself `owner` certainly runs no more."""
        if not owner.isalnum():
            return False
        try:
            file = os.open(self._folder / owner, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(file)

    def close(self) -> None:
        """Leave. What this process still leads is found leaderless at once only after a crash."""
        with suppress(OSError):
            self._own.unlink()
        os.close(self._file)

    def _sweep(self) -> None:
        """Remove the files of the dead that nobody can be waiting for any more."""
        newest_first = sorted(self._folder.iterdir(), key=_modified, reverse=True)
        for file in newest_first[1000:]:
            if self.is_dead(file.name):
                with suppress(OSError):
                    file.unlink()


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
