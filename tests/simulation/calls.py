"""Two calls for one question at one time: who paid twice, and whether it could be helped.

A second call is excused only where one of the two had lost its lease by no fault of the product:

- its process was dead;
- its process had been stopped, or cut off from the database, for longer than it takes to miss a
  beat (1.5 heartbeats in all) since its last sign of life;
- the epoch was over: its answer had been brought by the leader before, or it was purged.

A database that is slow, locked, read-only or away for everybody excuses nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import inf

from tests.simulation.history import (
    CallBegan,
    CallEnded,
    CameBack,
    Died,
    FlightChanged,
    FlightSeen,
    History,
    Intent,
    Left,
)
from tests.simulation.kinds import HEARTBEAT

_MISSED_SECONDS = 1.5 * HEARTBEAT - 0.01


@dataclass(frozen=True, slots=True)
class _Call:
    number: int
    process: str
    question: int
    intent: Intent
    began: float
    ended: float


def overlapping_calls(history: History) -> Iterator[str]:
    """Yield the pairs of calls that nothing excuses."""
    calls = _calls(history)
    for first, second in combinations(calls, 2):
        if first.question != second.question or second.began >= first.ended:
            continue
        if not any(_was_excused(history, call, second.began) for call in (first, second)):
            yield (
                f"paid twice: call {second.number} of {second.process} began at"
                f" {second.began:.3f} while call {first.number} of {first.process} was running"
            )


def _calls(history: History) -> list[_Call]:
    """Return the calls that a flight stands for (not those with no-store), in order."""
    ends = {event.call: event.at for event in history.events if isinstance(event, CallEnded)}
    deaths = {event.process: event.at for event in history.events if isinstance(event, Died)}
    return [
        _Call(
            event.call,
            event.process,
            event.question,
            event.intent,
            event.at,
            min(ends.get(event.call, inf), deaths.get(event.process, inf)),
        )
        for event in history.events
        if isinstance(event, CallBegan) and event.intent is not None and event.intent.epoch > 0
    ]


def _was_excused(history: History, call: _Call, moment: float) -> bool:
    """Return whether a call had lost its lease by `moment`, and nobody is to blame for it."""
    acquired, last_sign = False, -inf
    beat = -1
    for change in history.events:
        if not isinstance(change, FlightChanged) or change.question != call.question:
            continue
        if change.at > moment:
            return False
        row = change.row
        if row is not None and _leads(call.intent, row):
            if not acquired or row.beat != beat:
                last_sign, beat = change.at, row.beat
            acquired = True
        elif acquired:
            return _is_over(call.intent, row) or (
                _away(history, call.process, last_sign, change.at) > _MISSED_SECONDS
            )
    return False


def _leads(intent: Intent, row: FlightSeen) -> bool:
    lease = (intent.epoch, intent.fence, intent.owner)
    return row.state == "running" and (row.epoch, row.fence, row.owner) == lease


def _is_over(intent: Intent, row: FlightSeen | None) -> bool:
    if row is None or row.state == "purged":
        return True
    return row.epoch == intent.epoch and row.state == "done"


def _away(history: History, process: str, since: float, until: float) -> float:
    """Return for how long a process was stopped or cut off within a time."""
    away, left = 0.0, dict[str, float]()
    for event in history.events:
        if isinstance(event, Left) and event.process == process:
            left[event.why] = event.at
        if isinstance(event, CameBack) and event.process == process:
            away += _overlap(left.pop(event.why), event.at, since, until)
    return away + sum(_overlap(began, inf, since, until) for began in left.values())


def _overlap(began: float, ended: float, since: float, until: float) -> float:
    return max(0.0, min(ended, until) - max(began, since))
