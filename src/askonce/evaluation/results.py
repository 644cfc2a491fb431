"""Runs as files: one JSON object a line, the run first, then each answer when it has come."""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from askonce.evaluation.records import (
    RecordError,
    Row,
    Run,
    row_facts,
    row_of,
    run_facts,
    run_of,
)

SUFFIX = ".jsonl"
# After a day the service has forgotten what it was asked; and the model may be another.
_RESUMABLE = timedelta(hours=24)
_OWNER_ONLY = 0o600


class ResultsError(Exception):
    """A file of results cannot be used."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A run and its rows so far: of each prompt and repeat the newest, in the order asked."""

    path: Path
    run: Run
    rows: Sequence[Row]

    @property
    def is_complete(self) -> bool:
        plan = self.run.plan
        return sum(row.is_final for row in self.rows) >= plan.prompts * plan.repeats

    @property
    def settled(self) -> frozenset[tuple[str, int]]:
        """Of which prompts and repeats there is nothing left to ask."""
        return frozenset((row.prompt, row.repeat) for row in self.rows if row.is_final)


def read_run(path: Path) -> Stored:
    """Return what is in a file.

    Raises:
        ResultsError: it is no file of a run.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from None
    return _stored(path, raw)


def _stored(path: Path, raw: bytes) -> Stored:
    # What comes after the last newline was cut off by a death in the middle of writing.
    lines = raw.split(b"\n")[:-1]
    if not lines:
        raise ResultsError(f"{path}: is empty")
    run = run_of_line(path, lines[0])
    rows: dict[tuple[str, int], Row] = {}
    for number, line in enumerate(lines[1:], 2):
        try:
            row = row_of(_loaded(line))
        except RecordError:
            raise ResultsError(f"{path} line {number}: is no answer of a run") from None
        rows[row.prompt, row.repeat] = row
    return Stored(path, run, tuple(rows.values()))


def run_of_line(path: Path, line: bytes) -> Run:
    try:
        return run_of(_loaded(line))
    except RecordError:
        raise ResultsError(f"{path} line 1: is not the beginning of a run") from None


def _loaded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise RecordError from None


class RunFile:
    """The file of one run, which this process alone adds to."""

    def __init__(self, file: BinaryIO, stored: Stored) -> None:
        self._file = file
        self.stored = stored

    def add(self, row: Row) -> None:
        """Write down a row; a process that is killed afterwards has not lost it.

        Raises:
            ResultsError: the disk does not take it.
        """
        _write(self._file, row_facts(row))


class Results:
    """A folder of runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path_of(self, name: str) -> Path:
        """Return where a run of that name is kept."""
        return self._folder / f"{name}{SUFFIX}"

    def last(self, run: Run) -> Stored | None:
        """Return the newest complete run of the same spec, model and judge before `run`."""
        for path in self._newest_first():
            try:
                stored = read_run(path)
            except ResultsError:
                continue
            if stored.run.name != run.name and stored.is_complete and _is_alike(stored.run, run):
                return stored
        return None

    @contextmanager
    def opened(self, run: Run) -> Iterator[RunFile]:
        """Give the file of a run: of one with the same plan that was broken off, else a new one.

        Raises:
            ResultsError: nothing can be written there.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = self._broken_off(run) or self._begun(run)
        except OSError as error:
            raise ResultsError(f"{error.filename or self._folder}: {error.strerror}") from None
        with file:
            yield RunFile(file, read_run(Path(file.name)))

    def _broken_off(self, run: Run) -> BinaryIO | None:
        for path in self._newest_first():
            try:
                file = path.open("r+b", buffering=0)
            except OSError:
                # Somebody else's.
                continue
            if _locked(file) and _continues(path, file, run):
                return file
            file.close()
        return None

    def _newest_first(self) -> list[Path]:
        # Names begin with the time at which the run did.
        return sorted(self._folder.glob(f"*{SUFFIX}"), reverse=True)

    def _begun(self, run: Run) -> BinaryIO:
        path = self.path_of(run.name)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
        os.close(descriptor)
        file = path.open("r+b", buffering=0)
        _locked(file)
        _write(file, run_facts(run))
        return file


def _is_alike(earlier: Run, later: Run) -> bool:
    """Return whether one wants to know what changed from one run to the other."""
    one, other = earlier.plan, later.plan
    return (one.spec, one.target, one.judge) == (other.spec, other.target, other.judge)


def _continues(path: Path, file: BinaryIO, run: Run) -> bool:
    """Return whether a file is of a run that can be gone on with, and go to the end of it."""
    raw = file.read()
    try:
        stored = _stored(path, raw)
    except ResultsError:
        return False
    age = run.started_at - stored.run.started_at
    if stored.run.plan != run.plan or stored.is_complete or age >= _RESUMABLE:
        return False
    file.truncate(raw.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)
    return True


def _locked(file: BinaryIO) -> bool:
    """Return whether this process alone has the file; the lock goes with the process."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(file: BinaryIO, facts: Any) -> None:
    line = json.dumps(facts, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
    try:
        written = file.write(line)
    except OSError as error:
        raise ResultsError(f"{file.name}: {error.strerror}") from None
    if written != len(line):
        raise ResultsError(f"{file.name}: no space is left")
