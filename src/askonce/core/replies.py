"""What a model replies in a conversation: JSON with the content, and how sure it is of it."""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from askonce.core.answers import Answer, FinishReason, storable

# The content comes first, so that it can be shown while it grows.
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "content": {"type": "string", "description": "The reply to the user"},
        "confidence": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "How sure you are that the reply is right, from 0 to 1",
        },
    },
    "required": ["content", "confidence"],
    "additionalProperties": False,
}
REPLY_SCHEMA: Final = json.dumps(_SCHEMA)

_ESCAPED: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX_DIGITS: Final = 4
_PLAIN: Final = re.compile(r'[^"\\]+')
_HIGH = range(0xD800, 0xDC00)
_LOW = range(0xDC00, 0xE000)


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply as it is shown: `confidence` is None where the model did not come to say it."""

    content: str = field(repr=False)
    confidence: float | None


def reply_of(answer: Answer, *, is_structured: bool) -> Reply:
    """Return the reply that is in an answer which may be given.

    Of one that was cut, what there is; a refusal and a summary are all content.
    """
    if not is_structured or answer.finish_reason is FinishReason.REFUSAL:
        return Reply(answer.text, None)
    if answer.finish_reason is FinishReason.LENGTH:
        return Reply(GrowingContent().feed(answer.text), None)
    told = json.loads(answer.text)
    return Reply(storable(told["content"]), float(told["confidence"]))


class GrowingContent:
    """Finds the content in a reply of which only the beginning has come.

    What was fed, however it was cut into pieces, gives the same content as the whole would. Only
    a top-level `content` counts, wherever it stands; text around the object does not.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._key: str | None = None
        self._is_key_next = False
        # The string that we are in: its pieces, where it is a key or the content.
        self._string: list[str] | None = None
        self._is_in_string = False
        self._is_content = False
        self._is_over = False
        # An escape of which not all has come, and a surrogate that waits for its other half.
        self._escape = ""
        self._high: int | None = None

    def feed(self, piece: str) -> str:
        """Take what came next, and return what it adds to the content."""
        shown: list[str] = []
        at = 0
        while at < len(piece) and not self._is_over:
            if not self._is_in_string:
                self._outside(piece[at])
                at += 1
            elif self._escape or piece[at] == "\\":
                self._escape += piece[at]
                at += 1
                self._take(self._unescaped(), shown)
            elif piece[at] == '"':
                self._take(self._lone(), shown)
                self._end_string()
                at += 1
            else:
                plain = _PLAIN.match(piece, at)
                end = plain.end() if plain else at + 1
                self._take(self._lone() + storable(piece[at:end]), shown)
                at = end
        return "".join(shown)

    def _outside(self, character: str) -> None:
        """Take a character that stands in no string."""
        if character == '"' and self._depth:
            self._is_in_string = True
            is_top = self._depth == 1
            self._string = [] if is_top and self._is_key_next else None
            self._is_content = is_top and not self._is_key_next and self._key == "content"
        elif character in "{[":
            self._depth += 1
            self._is_key_next = self._depth == 1 and character == "{"
            if self._depth == 1 and character == "[":
                # Brackets in the prose before the object.
                self._depth = 0
        elif character in "}]" and self._depth:
            self._depth -= 1
        elif character == "," and self._depth == 1:
            self._is_key_next = True
        elif character == ":" and self._depth == 1:
            self._is_key_next = False

    def _end_string(self) -> None:
        self._is_in_string = False
        self._is_over = self._is_content
        if self._string is not None:
            self._key = "".join(self._string)
            self._string = None

    def _take(self, text: str, shown: list[str]) -> None:
        if self._is_content:
            shown.append(text)
        elif self._string is not None:
            self._string.append(text)

    def _unescaped(self) -> str:
        """Return what the escape stands for, and nothing while parts of it are missing."""
        kind = self._escape[1:2]
        if not kind:
            return ""
        if kind != "u":
            self._escape = ""
            return self._lone() + _ESCAPED.get(kind, kind)
        digits = self._escape[2:]
        if len(digits) < _HEX_DIGITS:
            return ""
        self._escape = ""
        try:
            return self._unit(int(digits, 16))
        except ValueError:
            return self._lone()

    def _unit(self, unit: int) -> str:
        """Return what a UTF-16 code unit adds: surrogates come in pairs."""
        high, self._high = self._high, None
        if high is not None and unit in _LOW:
            return chr(0x10000 + ((high - _HIGH.start) << 10) + (unit - _LOW.start))
        before = "" if high is None else storable(chr(high))
        if unit in _HIGH:
            self._high = unit
            return before
        return before + storable(chr(unit))

    def _lone(self) -> str:
        """Return what a surrogate is shown as whose other half does not come."""
        high, self._high = self._high, None
        return "" if high is None else storable(chr(high))
