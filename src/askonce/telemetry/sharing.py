"""Where the workers of one server put their numbers, so that each of them can show the sum.

prometheus-client gives each process files of its own, named by its pid, and never merges those of
the dead. Here they are named by a place instead: whoever replaces a dead worker takes its place and
counts on where it stopped, so that there are never more files than workers.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import prometheus_client.values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import CollectorRegistry

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_MOST_PLACES = 10_000


@contextmanager
def shared_by_workers(workers: int) -> Iterator[None]:
    """Let processes that are started in the block share their numbers, where there are several.

    A parent that is killed leaves an empty-handed folder in the temporary files behind.
    """
    os.environ.pop(FOLDER, None)
    if workers == 1:
        yield
        return
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="askonce-metrics-")
    try:
        yield
    finally:
        shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def is_shared() -> bool:
    """Return whether other processes count with this one."""
    return FOLDER in os.environ


@cache
def join() -> None:
    """Have this process's numbers kept in its place; before any of them is made."""
    folder = Path(os.environ[FOLDER])
    place = _free_place(folder)
    # What rose and fell in the dead process is gone; what it counted stays.
    _forget(folder, place)
    prometheus_client.values.ValueClass = _values_at(place)


def collected() -> CollectorRegistry:
    """Return the numbers of all workers, without what was in the air in those that are dead."""
    folder = Path(os.environ[FOLDER])
    for lock in folder.glob("*.place"):
        _if_free(lock, partial(_forget, folder, lock.stem))
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return registry


def _forget(folder: Path, place: int | str) -> None:
    mark_process_dead(place, str(folder))  # type: ignore[no-untyped-call]


def _values_at(place: int) -> type:
    values: type = prometheus_client.values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]
    return values


def _free_place(folder: Path) -> int:
    for place in range(_MOST_PLACES):
        file = _opened(folder / f"{place}.place")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
        else:
            # Held open until the process ends, however it ends.
            return place
    raise AssertionError("more workers than places")


def _if_free(lock: Path, then: Callable[[], object]) -> None:
    file = _opened(lock)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pass
    else:
        then()
    finally:
        os.close(file)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
