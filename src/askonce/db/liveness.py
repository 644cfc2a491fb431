"""Tells at once that another process on this host died, because the kernel drops its lock."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from askonce.core.errors import ConfigurationError

_REMEMBERED = 1000


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
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(folder / owner, flags, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._sweep()

    def is_dead(self, owner: str) -> bool:
        """Return whether the process that calls itself `owner` certainly runs no more."""
        return self._is_locked(owner) is False

    def is_alive(self, owner: str) -> bool:
        """Return whether the process that calls itself `owner` certainly runs."""
        return self._is_locked(owner) is True

    def close(self) -> None:
        """Leave. The file stays, so that what this process could not finish is found at once."""
        os.close(self._file)

    def _is_locked(self, owner: str) -> bool | None:
        return _is_locked(self._folder / owner) if owner.isalnum() else None

    def _sweep(self) -> None:
        """Remove the files of the dead that nobody can be waiting for any more."""
        newest_first = sorted(self._folder.iterdir(), key=_modified, reverse=True)
        for file in newest_first[_REMEMBERED:]:
            if self.is_dead(file.name):
                with suppress(OSError):
                    file.unlink()


def is_anybody_alive(folder: Path) -> bool:
    """Return whether a process certainly runs that keeps its lock in `folder`."""
    return folder.is_dir() and any(_is_locked(file) for file in folder.iterdir())


def _is_locked(path: Path) -> bool | None:
    """Return whether somebody holds the lock on a file; None where there is no such file."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # Shared: two who look at one moment must not take each other for the owner.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(file)


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
