"""Makes checks of what a prompt's `expect` says."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from askonce.core.schemas import SchemaRefusedError
from askonce.evaluation.checks import (
    Check,
    Counts,
    Excludes,
    FieldIs,
    FieldIsNear,
    Fits,
    HasLength,
    Matches,
    Mentions,
)
from askonce.evaluation.faults import Fault, SpecError
from askonce.evaluation.wording import plain
from askonce.services.structured import checked_schema

_KINDS_OF_FIELDS = ("equals", "one_of", "near")


def checks_of(expect: Mapping[str, Any]) -> Iterator[Check]:
    """Yield a check for each thing that is expected. The schema of specs has been seen to.

    Raises:
        SpecError: with the path from the prompt on.
    """
    for number, words in enumerate(expect.get("contains", ())):
        yield _mentions([words], "contains", number)
    for number, wordings in enumerate(expect.get("any_of", ())):
        yield _mentions(wordings, "any_of", number)
    for number, words in enumerate(expect.get("excludes", ())):
        _mentions([words], "excludes", number)
        yield Excludes(words)
    for number, pattern in enumerate(expect.get("matches", ())):
        yield _matches(pattern, number)
    for wanted in expect.get("numbers", ()):
        yield Counts(*_around(wanted))
    for number, wanted in enumerate(expect.get("fields", ())):
        yield _field(wanted, number)
    if "schema" in expect:
        yield _fits(expect["schema"])
    yield from _lengths(expect)


def _mentions(wordings: list[str], kind: str, number: int) -> Mentions:
    if not all(plain(one) for one in wordings):
        raise _wrong("has nothing that can be seen", kind, number)
    return Mentions(tuple(wordings))


def _matches(pattern: str, number: int) -> Matches:
    try:
        checked_schema({"type": "string", "pattern": pattern})
    except SchemaRefusedError:
        message = "is not a regular expression that takes linear time (no look-around, no \\1)"
        raise _wrong(message, "matches", number) from None
    return Matches(pattern)


def _field(wanted: Mapping[str, Any], number: int) -> Check:
    kinds = [kind for kind in _KINDS_OF_FIELDS if kind in wanted]
    if len(kinds) != 1:
        raise _wrong("needs exactly one of equals, one_of and near", "fields", number)
    if "tolerance" in wanted and kinds != ["near"]:
        raise _wrong("has a tolerance, but no near", "fields", number)
    match kinds[0]:
        case "equals":
            return FieldIs(wanted["at"], (wanted["equals"],))
        case "one_of":
            return FieldIs(wanted["at"], tuple(wanted["one_of"]))
        case _:
            return FieldIsNear(wanted["at"], *_around(wanted))


def _fits(schema: dict[str, Any]) -> Fits:
    try:
        return Fits(checked_schema(schema))
    except SchemaRefusedError as error:
        raise _wrong(str(error), "schema") from None


def _lengths(expect: Mapping[str, Any]) -> Iterator[HasLength]:
    for unit in ("words", "characters"):
        least, most = expect.get(f"min_{unit}"), expect.get(f"max_{unit}")
        if least is not None and most is not None and least > most:
            raise _wrong(f"is more than max_{unit}", f"min_{unit}")
        if least is not None or most is not None:
            yield HasLength(unit=unit, least=least, most=most)


def _around(wanted: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    # As it is written: 0.1 is a tenth.
    return Decimal(repr(wanted["near"])), Decimal(repr(wanted.get("tolerance", 0)))


def _wrong(message: str, *path: str | int) -> SpecError:
    return SpecError([Fault(("expect", *path), message)])
