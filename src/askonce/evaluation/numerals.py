"""Finds the numbers in a text, as people of several countries write them."""

import re
import unicodedata
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

_MINUS = "-\u2212"
_BLANKS = " \u00a0\u202f\u2009"
# Apostrophes stand between thousands in Switzerland.
_RUN = re.compile(rf"[0-9]+(?:[.,'\u2019{_BLANKS}][0-9]+)*")
_PIECE = re.compile(r"[0-9]+|[^0-9]")
_GROUP = 3
# A number with more digits than this is not one that anybody counts with.
_MOST_DIGITS = 40
_MOST_NUMBERS = 10_000


def numbers_in(text: str) -> frozenset[Decimal]:
    """Return all numbers that a text may be read to have.

    `1.234` is both 1.234 and 1234, as who wrote it may be from anywhere; `12 500` is 12, 500 and
    12500. The first ten thousand are read.
    """
    found: set[Decimal] = set()
    text = "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
    for run in _RUN.finditer(text):
        sign = -1 if _is_negative(text, run.start()) else 1
        found.update(sign * value for value in _readings(run[0]))
        if len(found) > _MOST_NUMBERS:
            break
    return frozenset(found)


def _is_negative(text: str, start: int) -> bool:
    """Return whether a minus stands before a number; in `10-20` or `A-7` it is a hyphen."""
    if start == 0 or text[start - 1] not in _MINUS:
        return False
    return start == 1 or not text[start - 2].isalnum()


def _readings(run: str) -> Iterator[Decimal]:
    words = re.split(f"[{_BLANKS}]", run)
    for word in words:
        yield from _read(word)
    if len(words) > 1 and all(_leads_with_group(word) for word in words[1:]):
        yield from _read("".join(words))


def _leads_with_group(word: str) -> bool:
    return len(_PIECE.findall(word)[0]) == _GROUP


def _read(word: str) -> Iterator[Decimal]:
    """Yield what a numeral without blanks may mean."""
    if len(word) > _MOST_DIGITS:
        return
    pieces = _PIECE.findall(word)
    digits, marks = pieces[::2], pieces[1::2]
    if _are_thousands(digits, marks):
        yield Decimal("".join(digits))
    if _has_decimals(digits, marks):
        yield Decimal(f"{''.join(digits[:-1])}.{digits[-1]}")
    elif len(marks) > 1 and not _are_thousands(digits, marks):
        # A date, a version, a list.
        yield from map(Decimal, digits)


def _has_decimals(digits: list[str], marks: list[str]) -> bool:
    """Return whether the last mark stands before decimals, as it is unlike those before it."""
    if not marks or marks[-1] not in ".," or marks[-1] in marks[:-1]:
        return False
    return _are_thousands(digits[:-1], marks[:-1])


def _are_thousands(digits: list[str], marks: list[str]) -> bool:
    """Return whether digits stand in groups of three with one kind of mark between them."""
    is_one_mark = all(left == right for left, right in pairwise(marks))
    is_grouped = not marks or (len(digits[0]) <= _GROUP and not digits[0].startswith("0"))
    return is_one_mark and is_grouped and all(len(group) == _GROUP for group in digits[1:])
