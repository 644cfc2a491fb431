"""Finds a place in JSON by its pointer (RFC 6901)."""

import re
from typing import Any, Final

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class _Nothing:
    """What is not there; equal to nothing, not even to JSON's null."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()


def at(data: Any, pointer: str) -> Any:
    """Return what a pointer leads to, or `NOTHING`."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(data, dict):
            data = data.get(name, NOTHING)
        elif isinstance(data, list) and _is_index(name) and int(name) < len(data):
            data = data[int(name)]
        else:
            return NOTHING
    return data


def _is_index(name: str) -> bool:
    """Return whether a step is a place in an array: digits, without a leading zero."""
    return _INDEX.fullmatch(name) is not None
