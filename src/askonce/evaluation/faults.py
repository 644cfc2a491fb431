"""What is wrong with a spec, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

_MOST_TOLD = 10
_MOST_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong. The path leads to it from the top; the line is counted from 1."""

    path: Sequence[str | int]
    message: str
    line: int | None = None
    prompt: str | None = None

    def placed(self, facts: Mapping[str, Any], lines: Sequence[int]) -> Self:
        """Return the fault with the prompt that it is in, and the line in which that begins."""
        match list(self.path):
            case ["prompts", int(number), *_]:
                prompt = facts["prompts"][number]
                name = prompt.get("id") if isinstance(prompt, dict) else None
                line = lines[number] if lines else None
                return replace(self, line=line, prompt=name if isinstance(name, str) else None)
        return self

    def __str__(self) -> str:
        where = "" if self.line is None else f"line {self.line}: "
        name = "" if self.prompt is None else f" ({_short(self.prompt)})"
        field = _written(self.path)
        return f"{where}{field}{name}{': ' if field or name else ''}{_short(self.message)}"


class SpecError(Exception):
    """A spec cannot be used."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__()
        self.faults = faults

    def __str__(self) -> str:
        told = [str(fault) for fault in self.faults[:_MOST_TOLD]]
        more = len(self.faults) - len(told)
        return "\n".join([*told, f"and {more} more"] if more else told)


def _written(path: Sequence[str | int]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{_short(step)}" for step in path)
    return "".join(steps).removeprefix(".")


def _short(text: str) -> str:
    """Return what came from a file so that it can be printed: short, and on one line."""
    cut = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
    return "".join(one if one.isprintable() else "?" for one in cut)
