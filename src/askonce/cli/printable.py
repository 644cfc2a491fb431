"""What others wrote, made safe to show: a terminal obeys control characters."""

import unicodedata
from collections.abc import Iterator
from typing import Final

_UNKNOWN: Final = 0xFFFD
# Unicode's pictures of the characters that have one: an escape is seen, and does nothing.
_PICTURES: Final = 0x2400
_PICTURE_OF_DELETE: Final = 0x2421
_HARMLESS: Final = "\n\t"
# They turn the order of what follows around, so that it reads as something else (UAX 9).
_TURNING: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _replacements() -> Iterator[tuple[int, int]]:
    for code in range(0xA0):
        if unicodedata.category(chr(code)) == "Cc" and chr(code) not in _HARMLESS:
            yield code, _PICTURES + code if code < ord(" ") else _UNKNOWN
    yield 0x7F, _PICTURE_OF_DELETE
    for turning in _TURNING:
        yield ord(turning), _UNKNOWN
    # Halves of characters: no terminal's encoding has them.
    for half in range(0xD800, 0xE000):
        yield half, _UNKNOWN


_TABLE: Final = dict(_replacements())


def printable(text: str) -> str:
    """Return a text as a terminal may have it: lines and tabs, and nothing else that acts."""
    return text.translate(_TABLE)
