"""Reads the input one line at a time, however long it is; what is wrong with a line stays in it."""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, BinaryIO

from askonce.cli.bulk.stopping import StopBatchError

# A request has a megabyte at most; JSON may escape each character with six.
MOST_BYTES = 8 * 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_USER_ID = re.compile(r"[A-Za-z0-9._@:+-]{1,128}")
_ASKED = (
    "text",
    "provider",
    "model",
    "instructions",
    "output_schema",
    "max_output_tokens",
)
_KNOWN = frozenset({*_ASKED, "user_id", "id"})


class Format(StrEnum):
    """How the lines of an input are written."""

    JSONL = "jsonl"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of a line; of the line as a whole where `field` is empty."""

    field: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line that asks something, or cannot be read.

    `number` counts from 1 as editors do; in CSV it is where the row begins. `digest` is SHA-256
    over the bytes of the line, as hex. `end` is how many bytes of the input have been read.
    """

    number: int
    digest: str
    end: int
    id: Any = None
    user_id: str = ""
    asked: Mapping[str, Any] = field(default_factory=dict, repr=False)
    fault: Fault | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read an input.

    `user_id` is whose the lines are that name none; `text_column` is what the field with the text
    is called there. Unknown fields are passed over where `ignores_unknown`, else they are faults.
    """

    format: Format
    user_id: str
    text_column: str = "text"
    ignores_unknown: bool = False

    def lines(self, file: BinaryIO) -> Iterator[Line]:
        """Yield all lines that are not blank.

        Raises:
            StopBatchError: the head of a CSV file does not fit.
        """
        return self._csv(file) if self.format is Format.CSV else self._jsonl(file)

    def _jsonl(self, file: BinaryIO) -> Iterator[Line]:
        end = 0
        number = 0
        while raw := file.readline(MOST_BYTES + 1):
            number += 1
            end += len(raw)
            digest = hashlib.sha256(raw.rstrip(b"\r\n"))
            if len(raw) > MOST_BYTES:
                end += _skip_rest(file, raw, digest.update)
                fault = Fault("", f"is longer than {MOST_BYTES} bytes")
                yield Line(number=number, digest=digest.hexdigest(), end=end, fault=fault)
                continue
            content = raw.removeprefix(_BOM) if number == 1 else raw
            if content.strip():
                yield self._line(number, digest.hexdigest(), end, lambda: _object(content))  # noqa: B023

    def _csv(self, file: BinaryIO) -> Iterator[Line]:
        # The default is less than a text may have.
        csv.field_size_limit(MOST_BYTES)
        feed = _Feed(file)
        rows = csv.reader(feed, strict=True)
        try:
            names = next(rows, [])
        except csv.Error:
            raise StopBatchError(
                "the head of the CSV file cannot be read", is_wrong_use=True
            ) from None
        self._check_head(names)
        head = feed.taken()
        while True:
            number = feed.number + 1
            row, fault = _next_row(rows)
            raw = feed.taken()
            if not raw:
                return
            if fault is None and not row:
                continue
            digest = hashlib.sha256(head + raw).hexdigest()
            cells = _Cells(names, row)
            if fault is not None:
                yield Line(number=number, digest=digest, end=feed.end, fault=fault)
            else:
                yield self._line(number, digest, feed.end, cells.as_object)

    def _check_head(self, names: Sequence[str]) -> None:
        unknown = [name for name in names if self._known(name) is None]
        message = ""
        if self.text_column not in names:
            message = f"the CSV file has no column {self.text_column}: name it with --column"
        elif len(set(names)) < len(names):
            message = "the CSV file has two columns of one name"
        elif unknown and not self.ignores_unknown:
            message = (
                f"the CSV file has a column {unknown[0]!r}, which means nothing here: "
                "rename it, or pass over such columns with --ignore-unknown"
            )
        if message:
            raise StopBatchError(message, is_wrong_use=True)

    def _line(
        self, number: int, digest: str, end: int, read: Callable[[], Mapping[str, Any]]
    ) -> Line:
        line_id = None
        try:
            fields = self._named(read())
            line_id = fields.pop("id", None)
            user_id = fields.pop("user_id", None)
            asked = {name: value for name, value in fields.items() if value is not None}
            checked_user = self.user_id if user_id is None else user_id
            _check(line_id, checked_user, asked)
        except _FaultError as error:
            shown_id = line_id if isinstance(line_id, str | int) else None
            return Line(number=number, digest=digest, end=end, id=shown_id, fault=error.fault)
        return Line(
            number=number,
            digest=digest,
            end=end,
            id=line_id,
            user_id=checked_user,
            asked=asked,
        )

    def _named(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that mean something, as they are called here."""
        fields = {}
        for name, value in found.items():
            known = self._known(name)
            if known is not None:
                fields[known] = value
            elif not self.ignores_unknown:
                raise _FaultError(name[:128], "is not a known field")
        return fields

    def _known(self, name: str) -> str | None:
        """Return what a field is called here; None where it means nothing."""
        if name == self.text_column:
            return "text"
        return name if name in _KNOWN - {"text"} else None


class _FaultError(Exception):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(field)
        self.fault = Fault(field, message)


@dataclass(frozen=True, slots=True)
class _Cells:
    """One row of a CSV file. An empty cell says nothing."""

    names: Sequence[str]
    row: Sequence[str]

    def as_object(self) -> Mapping[str, Any]:
        if len(self.row) != len(self.names):
            raise _FaultError("", f"has {len(self.row)} cells, not {len(self.names)}")
        cells = zip(self.names, self.row, strict=True)
        return {name: _cell(name, cell) for name, cell in cells if cell}


class _Feed:
    """Gives a CSV reader its lines, and knows which bytes it took for a row."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._taken: list[bytes] = []
        self.number = 0
        self.end = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        raw = self._file.readline(MOST_BYTES + 1)
        if not raw:
            raise StopIteration
        self.number += 1
        if len(raw) > MOST_BYTES:
            message = f"line {self.number} of the CSV file is longer than {MOST_BYTES} bytes"
            raise StopBatchError(message, is_wrong_use=True)
        self.end += len(raw)
        self._taken.append(raw)
        content = raw.removeprefix(_BOM) if self.number == 1 else raw
        # What is not UTF-8 is found again in its cell, as lone surrogates.
        return content.decode(errors="surrogateescape")

    def taken(self) -> bytes:
        """Return the bytes that were read since this was asked last."""
        raw = b"".join(self._taken)
        self._taken.clear()
        return raw


def _next_row(rows: Iterator[list[str]]) -> tuple[list[str], Fault | None]:
    try:
        return next(rows, []), None
    except csv.Error:
        return [], Fault("", "is not CSV: is a quote left open, or does one stand inside a cell?")


def _skip_rest(file: BinaryIO, raw: bytes, note: Callable[[bytes], None]) -> int:
    """Read a line to its end without keeping it, and return how many more bytes it had."""
    skipped = 0
    while not raw.endswith(b"\n") and (raw := file.readline(MOST_BYTES)):
        note(raw.rstrip(b"\r\n"))
        skipped += len(raw)
    return skipped


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw.decode(), parse_constant=_refuse)
    except UnicodeDecodeError:
        raise _FaultError("", "is not UTF-8") from None
    except (ValueError, RecursionError):
        raise _FaultError("", "is not JSON") from None
    if not isinstance(found, dict):
        raise _FaultError("", "is not a JSON object")
    return found


def _cell(name: str, cell: str) -> Any:
    """Return what stands in a cell: text, but where only a number or a schema makes sense."""
    if name == "max_output_tokens" and cell.isdecimal() and cell.isascii():
        return int(cell[:18])
    if name != "output_schema":
        return cell
    try:
        return json.loads(cell, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _FaultError(name, "is not JSON") from None


def _check(line_id: Any, user_id: Any, asked: Mapping[str, Any]) -> None:
    if not isinstance(line_id, str | int | None):
        raise _FaultError("id", "is neither a string nor a whole number")
    if not isinstance(user_id, str) or not _USER_ID.fullmatch(user_id):
        raise _FaultError("user_id", "is not 1 to 128 of the characters A-Z a-z 0-9 . _ @ : + -")
    if "text" not in asked:
        raise _FaultError("text", "is missing")
    for name, value in (("id", line_id), *asked.items()):
        try:
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:
            raise _FaultError(name, "is not UTF-8, or holds a lone surrogate") from None
        except (ValueError, RecursionError):
            raise _FaultError(name, "cannot be sent as JSON") from None


def _refuse(name: str) -> Any:
    raise ValueError(name)
