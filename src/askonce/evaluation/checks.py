"""What can be said of an answer without asking anybody: each check holds or does not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any, Protocol

from askonce.evaluation.numerals import numbers_in
from askonce.evaluation.pointers import NOTHING, at
from askonce.evaluation.wording import plain
from askonce.services.structured import faults

_MOST_SHOWN = 60


class Said:
    """An answer, and what checks want to know of it; each is found out once."""

    def __init__(self, text: str, data: Any = None) -> None:
        self.text = text
        self._data = data

    @cached_property
    def plain(self) -> str:
        return plain(self.text)

    @cached_property
    def numbers(self) -> frozenset[Decimal]:
        return numbers_in(self.text)

    @cached_property
    def data(self) -> Any:
        """The answer as JSON; `NOTHING` where it is none."""
        if self._data is not None:
            return self._data
        try:
            return json.loads(self.text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return NOTHING


class Check(Protocol):
    """One thing that is expected. `wanted` is shown to people."""

    @property
    def wanted(self) -> str: ...

    def holds(self, said: Said) -> bool: ...


@dataclass(frozen=True, slots=True)
class Mentions:
    """At least one of several wordings is in the answer; `plain` says what counts as the same."""

    wordings: Sequence[str]

    @property
    def wanted(self) -> str:
        return "mentions " + " or ".join(shown(one) for one in self.wordings)

    def holds(self, said: Said) -> bool:
        return any(plain(one) in said.plain for one in self.wordings)


@dataclass(frozen=True, slots=True)
class Excludes:
    """Some words are not in the answer."""

    words: str

    @property
    def wanted(self) -> str:
        return f"does not mention {shown(self.words)}"

    def holds(self, said: Said) -> bool:
        return plain(self.words) not in said.plain


@dataclass(frozen=True, slots=True)
class Matches:
    """A regular expression is found in the answer as it is.

    It is one of Rust's `regex`, by way of JSON Schema's `pattern`: the time it takes is linear in
    the length of the answer, whatever the expression.
    """

    pattern: str

    @property
    def wanted(self) -> str:
        return f"matches {shortened(self.pattern)}"

    def holds(self, said: Said) -> bool:
        return not any(faults(pattern_schema(self.pattern), said.text))


@dataclass(frozen=True, slots=True)
class Counts:
    """A number within `tolerance` of `near` is in the answer."""

    near: Decimal
    tolerance: Decimal

    @property
    def wanted(self) -> str:
        return f"has the number {_range(self.near, self.tolerance)}"

    def holds(self, said: Said) -> bool:
        return any(abs(number - self.near) <= self.tolerance for number in said.numbers)


@dataclass(frozen=True, slots=True)
class FieldIs:
    """What a JSON Pointer (RFC 6901) leads to is one of several values."""

    pointer: str
    values: Sequence[Any]

    @property
    def wanted(self) -> str:
        return f"{self.pointer or '/'} is " + " or ".join(shown(one) for one in self.values)

    def holds(self, said: Said) -> bool:
        found = _comparable(at(said.data, self.pointer))
        return any(found == _comparable(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class FieldIsNear:
    """What a JSON Pointer leads to is a number within `tolerance` of `near`."""

    pointer: str
    near: Decimal
    tolerance: Decimal

    @property
    def wanted(self) -> str:
        return f"{self.pointer or '/'} is {_range(self.near, self.tolerance)}"

    def holds(self, said: Said) -> bool:
        found = at(said.data, self.pointer)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return False
        return abs(Decimal(repr(found)) - self.near) <= self.tolerance


@dataclass(frozen=True, slots=True)
class Fits:
    """The answer is JSON that fits a schema."""

    schema: str = field(repr=False)
    wanted: str = "fits its schema"

    def holds(self, said: Said) -> bool:
        return said.data is not NOTHING and not any(faults(self.schema, said.data))


@dataclass(frozen=True, slots=True, kw_only=True)
class HasLength:
    """The answer has between `least` and `most` words or characters; None: no bound."""

    unit: str
    least: int | None = None
    most: int | None = None

    @property
    def wanted(self) -> str:
        bounds = [
            None if self.least is None else f"at least {self.least}",
            None if self.most is None else f"at most {self.most}",
        ]
        return f"has {' and '.join(one for one in bounds if one)} {self.unit}"

    def holds(self, said: Said) -> bool:
        length = len(said.text.split() if self.unit == "words" else said.text.strip())
        return (self.least is None or length >= self.least) and (
            self.most is None or length <= self.most
        )


def pattern_schema(pattern: str) -> str:
    """Return the JSON Schema of a text in which a regular expression is found."""
    return json.dumps({"type": "string", "pattern": pattern})


def shown(value: Any) -> str:
    """Return a spec's value as a person may be shown it, on one line."""
    return shortened(json.dumps(value, ensure_ascii=False))


def shortened(text: str) -> str:
    """Return a text so that it fits on a line."""
    printable = "".join(one if one.isprintable() else "?" for one in text)
    return printable if len(printable) <= _MOST_SHOWN else f"{printable[:_MOST_SHOWN]}…"


def _range(near: Decimal, tolerance: Decimal) -> str:
    return f"{near}" if not tolerance else f"{near} ± {tolerance}"


def _comparable(value: Any) -> Any:
    """Return a JSON value so that == is equality in JSON, and texts count by their words."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, list):
        return [_comparable(one) for one in value]
    if isinstance(value, dict):
        return {name: _comparable(one) for name, one in value.items()}
    return value


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
