"""Sets of ids as ranges: most ids follow each other, so that few ranges hold thousands."""

import re
from collections.abc import Iterable, Sequence

# Both ends belong to it.
Range = tuple[int, int]

_RANGE = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?", re.ASCII)


def ranges_of(ids: Iterable[int]) -> list[Range]:
    """Return ids, which come in ascending order, as ranges."""
    ranges: list[Range] = []
    for one in ids:
        if ranges and ranges[-1][1] == one - 1:
            ranges[-1] = (ranges[-1][0], one)
        else:
            ranges.append((one, one))
    return ranges


def size_of(ranges: Iterable[Range]) -> int:
    """Return how many ids there are."""
    return sum(last - first + 1 for first, last in ranges)


def without(ranges: Iterable[Range], taken: Sequence[Range]) -> list[Range]:
    """Return what is left of ranges; both are in ascending order."""
    left: list[Range] = []
    at = 0
    for first, last in ranges:
        begin = first
        while at < len(taken) and taken[at][1] < begin:
            at += 1
        look = at
        while look < len(taken) and taken[look][0] <= last:
            if taken[look][0] > begin:
                left.append((begin, taken[look][0] - 1))
            begin = max(begin, taken[look][1] + 1)
            look += 1
        if begin <= last:
            left.append((begin, last))
    return left


def written(ranges: Iterable[Range]) -> str:
    """Return ranges as text: `1-490,493`."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def read(text: str) -> list[Range]:
    """Return what was written.

    Raises:
        ValueError: it is not ranges in ascending order.
    """
    ranges: list[Range] = []
    for part in text.split(",") if text else ():
        match = _RANGE.fullmatch(part)
        if match is None:
            raise ValueError("not ranges")
        first = int(match[1])
        last = int(match[2]) if match[2] else first
        if last < first or (ranges and ranges[-1][1] >= first):
            raise ValueError("not in order")
        ranges.append((first, last))
    return ranges
