"""The output: a record of each line, in the order of the input, written so that nothing is lost.

Records are in the order of the input, so that what is done is found again by reading input and
output side by side, in constant memory.
"""

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Self

from askonce.cli.bulk.lines import Line
from askonce.cli.bulk.stopping import StopBatchError

_BEGINNING = b'{"line": '
_CHUNK = 64 * 1024
_RUN = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one line: an analysis as the API shows it, or an error."""

    line: int
    digest: str
    id: Any = None
    analysis: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None

    @classmethod
    def answered(cls, line: Line, analysis: Mapping[str, Any]) -> Self:
        return cls(line=line.number, digest=line.digest, id=line.id, analysis=analysis)

    @classmethod
    def failed(cls, line: Line, **error: Any) -> Self:
        return cls(line=line.number, digest=line.digest, id=line.id, error=error)

    @property
    def cost(self) -> Decimal | None:
        """What producing the answer took, in US dollars; None where that is not known."""
        cost = None if self.analysis is None else self.analysis.get("cost_usd")
        return None if cost is None else Decimal(cost)

    @property
    def is_hit(self) -> bool:
        return self.analysis is not None and bool(self.analysis.get("cached"))

    def written(self) -> bytes:
        facts = {"line": self.line, "digest": self.digest}
        for name in ("id", "analysis", "error"):
            value = getattr(self, name)
            if value is not None:
                facts[name] = value
        try:
            written = json.dumps(facts, ensure_ascii=False, default=_plain).encode()
        except UnicodeEncodeError:
            # Data parsed from an answer can hold an escaped lone surrogate.
            written = json.dumps(facts, default=_plain).encode()
        return written + b"\n"

    @classmethod
    def of(cls, raw: bytes, path: Path) -> Self:
        """Return the record that stands in a line of an output.

        Raises:
            StopBatchError: it is none.
        """
        try:
            record = cls(**json.loads(raw))
            _check(record)
        except (ValueError, TypeError, ArithmeticError, RecursionError):
            raise _foreign(path) from None
        return record


class Recorded:
    """The records of one file, asked for in the order of the input."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = path.open("rb") if path.exists() else None
        # Where the record begins that has been read, but not asked for yet.
        self.offset = 0
        self._next: Record | None = None
        self._length = 0
        self._is_begun = False

    def of(self, line: Line) -> Record | None:
        """Return the record of a line, if there is one.

        Raises:
            StopBatchError: there is one of an earlier line, which the input does not have.
        """
        found = self._peeked()
        if found is None or found.line > line.number:
            return None
        if found.line < line.number:
            raise changed(self._path, found.line)
        self.offset += self._length
        self._read()
        return found

    def check_end(self) -> None:
        """Make sure that nothing follows.

        Raises:
            StopBatchError: there are records of lines that the input does not have.
        """
        found = self._peeked()
        if found is not None:
            raise changed(self._path, found.line)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _peeked(self) -> Record | None:
        if not self._is_begun:
            self._is_begun = True
            self._read()
        return self._next

    def _read(self) -> None:
        raw = b"" if self._file is None else self._file.readline()
        if raw and not raw.endswith(b"\n"):
            # A line that was being written when the process died: it is written anew.
            if not (raw.startswith(_BEGINNING) or _BEGINNING.startswith(raw)):
                Record.of(b"", self._path)
            raw = b""
        self._length = len(raw)
        self._next = Record.of(raw, self._path) if raw else None


class Records:
    """The one or two files that records go to: `errors` has those of lines that failed."""

    def __init__(self, out: Path, errors: Path | None) -> None:
        self.out = out
        self.errors = errors
        paths = [out] if errors is None else [out, errors]
        self._recorded = {path: Recorded(path) for path in paths}
        self._files: dict[Path, BinaryIO] = {}

    def of(self, line: Line) -> Record | None:
        """Return what became of a line; an answer, where an earlier failure stands beside it."""
        found = [recorded.of(line) for recorded in self._recorded.values()]
        return next((record for record in found if record is not None), None)

    def check_end(self) -> None:
        """Make sure that no records follow; raises as `Recorded.check_end`."""
        for recorded in self._recorded.values():
            recorded.check_end()

    def begin(self) -> None:
        """Write from here on: what stood behind the records that were asked for is written anew."""
        if self._files:
            return
        for path, recorded in self._recorded.items():
            file = path.open("ab")
            file.truncate(recorded.offset)
            self._files[path] = file

    def put(self, record: Record) -> None:
        """Append a record. It outlives this process at once, and a power cut after `sync`."""
        self.begin()
        path = self.out if record.error is None or self.errors is None else self.errors
        self._files[path].write(record.written())
        self._files[path].flush()

    def sync(self) -> None:
        for file in self._files.values():
            os.fsync(file.fileno())

    def close(self) -> None:
        for file in self._files.values():
            os.fsync(file.fileno())
            file.close()
        for recorded in self._recorded.values():
            recorded.close()

    def replace(self, others: "Records") -> None:
        """Take the place of other files, once these are closed."""
        # The answers first: where both are there, an answer counts.
        self.out.replace(others.out)
        if self.errors is not None and others.errors is not None:
            self.errors.replace(others.errors)


@contextmanager
def begun(out: Path, errors: Path | None) -> Iterator[str]:
    """Give the name of the run that an output belongs to, to this process alone.

    It is written down before anything is asked: the idempotency keys are made of it. It is a new
    one where the output is not there.

    Raises:
        StopBatchError: another process works on it.
    """
    note = out.with_name(f"{out.name}.run")
    try:
        with note.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                message = f"another askonce batch writes to {out}"
                raise StopBatchError(message, is_wrong_use=True) from None
            is_new = not out.exists()
            file.seek(0)
            run = file.read(_CHUNK).decode(errors="replace").strip()
            leftover = [again(path) for path in (out, errors or out)]
            if run and not _RUN.fullmatch(run):
                raise _foreign(note)
            if is_new or not run:
                for path in leftover:
                    _check_ours(path)
            out.touch()
            if errors is not None:
                errors.touch()
            if is_new or not run:
                # What is left of an output that was removed belongs to another run.
                for path in leftover:
                    path.unlink(missing_ok=True)
                run = secrets.token_hex(16)
                file.truncate(0)
                file.write(f"{run}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            yield run
    except OSError as error:
        raise StopBatchError(f"{error.filename}: {error.strerror}", is_wrong_use=True) from None


def again(path: Path) -> Path:
    """Return where records go while failed lines are asked again."""
    return path.with_name(f"{path.name}.retry")


def finished(out: Path) -> None:
    """Forget the run: each line has its answer."""
    with suppress(OSError):
        out.with_name(f"{out.name}.run").unlink()


def changed(path: Path, line: int) -> StopBatchError:
    """Return the error for an input that is not the one that the output was made from."""
    message = (
        f"the input has changed since {path} was written: line {line} was another one. "
        "Begin with another output; what was asked within a day is not paid for again"
    )
    return StopBatchError(message, is_wrong_use=True)


def _check(record: Any) -> None:
    """Make sure that what was read holds what a record does.

    Raises:
        TypeError, ArithmeticError: it does not.
    """
    parts = (record.analysis or {}, record.error or {})
    if not isinstance(record.line, int) or not all(isinstance(one, Mapping) for one in parts):
        raise TypeError
    if record.cost is not None and not record.cost.is_finite():
        raise ArithmeticError


def _check_ours(path: Path) -> None:
    """Make sure that a file which is in the way is one of ours, if there is one.

    Raises:
        StopBatchError: it is not, and so not ours to remove.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        start = file.read(len(_BEGINNING))
    if not _BEGINNING.startswith(start):
        raise _foreign(path)


def _foreign(path: Path) -> StopBatchError:
    message = f"{path} holds something else than what askonce batch writes: name another"
    return StopBatchError(message, is_wrong_use=True)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise TypeError(type(value).__name__)
