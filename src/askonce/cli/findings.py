"""What `askonce doctor` finds: each thing that it looked at, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How something is; only what is `BAD` keeps the service from doing its work."""

    GOOD = "good"
    DOUBTFUL = "doubtful"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, how it is, and in words what would mend it."""

    name: str
    state: State
    says: str
    mend: str | None = None


Findings = Iterator[Finding]


def good(name: str, says: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(name=name, state=State.GOOD, says=says)


def doubtful(name: str, says: str, mend: str) -> Finding:
    """Return that something may be as somebody wants it, or may not."""
    return Finding(name=name, state=State.DOUBTFUL, says=says, mend=mend)


def bad(name: str, says: str, mend: str) -> Finding:
    """Return that something is wrong."""
    return Finding(name=name, state=State.BAD, says=says, mend=mend)
