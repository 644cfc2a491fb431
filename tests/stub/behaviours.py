"""What one call to the stub provider shall do, written in a line of words."""

import asyncio
import re
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

_OPTIONS: dict[str, Callable[[str], float | str]] = {
    "slow": float,
    "every": float,
    "times": int,
    "cached": int,
    "held": str,
    "echo": str,
}
_IN_TEXT = re.compile(r"\[\[(.+?)\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One call's behaviour. `mode` is one of the words of `tests.stub`, or an HTTP status."""

    mode: str = "ok"
    slow: float = 0.0
    every: float = 0.1
    held: str = ""
    times: int | None = None
    cached: int = 0
    text: str | None = None
    say: str | None = None
    echo: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, line: str) -> "Behaviour":
        """Return the behaviour that `line` describes, e.g. `429 retry-after=2` or `slow=0.5`."""
        line, _, text = line.partition("text=")
        line, _, say = line.partition("say=")
        wanted = cls(text=text or None, say=say or None)
        for word in line.split():
            name, is_option, value = word.partition("=")
            if not is_option:
                wanted = replace(wanted, mode=name)
            elif name in _OPTIONS:
                options: dict[str, Any] = {name: _OPTIONS[name](value)}
                wanted = replace(wanted, **options)
            else:
                # A blank in a value is written as "_": retry-after=Sat,_21_Nov_2026_10:00:00_GMT
                wanted.headers[name] = value.replace("_", " ")
        return wanted


class Script:
    """Decides what each call does: the script first, then the question's own words, else ok."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._may_go_on = asyncio.Event()
        self.held = 0
        self.forget()

    def forget(self) -> None:
        self.let_go()
        with self._lock:
            self._waiting: deque[str] = deque()
            self._seen: Counter[str] = Counter()
            self._may_go_on = asyncio.Event()

    def let_go(self) -> None:
        self._may_go_on.set()

    async def wait_until_let_go(self) -> None:
        self.held += 1
        try:
            await self._may_go_on.wait()
        finally:
            self.held -= 1

    def add(self, lines: list[str]) -> None:
        with self._lock:
            self._waiting.extend(lines)

    def next_for(self, text: str) -> Behaviour:
        in_text = _IN_TEXT.search(text)
        with self._lock:
            if self._waiting:
                return Behaviour.of(self._waiting.popleft())
            if in_text is None:
                return Behaviour()
            self._seen[text] += 1
            wanted = Behaviour.of(in_text[1])
            if wanted.times is not None and self._seen[text] > wanted.times:
                return Behaviour()
            return wanted

    def in_words_of(self, text: str) -> Behaviour:
        """Return what a question itself says, whatever the script does."""
        in_text = _IN_TEXT.search(text)
        return Behaviour() if in_text is None else Behaviour.of(in_text[1])
