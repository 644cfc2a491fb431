"""Every provider call stands in the table of attempts before it is made."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from tests.chaos.evidence import Attempt, Call, Evidence, call_of
from tests.chaos.violations import Violation

# A replacement settles what a dead leader left open, but a frozen one may still make its call.
GIVEN_UP = "process died"
# The modes of the stub provider that end with an answer.
_ANSWERING = frozenset({"ok", "hang-up", "length", "trickle"})


@dataclass(frozen=True, slots=True)
class Journal:
    """Which attempt each call belongs to, as far as it has one."""

    attempts: Mapping[int, Attempt]
    unjournaled: tuple[Call, ...]

    def calls(self) -> dict[int, int]:
        """Return the number of the call of each attempt that led to one."""
        return {attempt.id: number for number, attempt in self.attempts.items()}


def matched(evidence: Evidence) -> Journal:
    """Give each call an attempt of its own.

    It must be of the same replica, provider and text, and have been open when the call came. An
    answer that is still kept says itself which call made it; of the others, each gets the attempt
    that was settled first, one with an answer only where the provider gave one.
    """
    said = {request.call for request in evidence.requests if request.is_given}
    owners = {replica.name: replica.owner for replica in evidence.replicas}
    free = defaultdict[tuple[str | None, str, str | None], list[Attempt]](list)
    for attempt in evidence.attempts:
        free[attempt.owner, attempt.provider, evidence.topics.get(attempt.fingerprint)].append(
            attempt
        )
    made = _made(evidence)
    attempts: dict[int, Attempt] = {}
    unjournaled: list[Call] = []
    for call in sorted(evidence.calls, key=lambda call: call.began):
        candidates = [
            attempt
            for attempt in free[owners.get(call.replica), call.provider, call.text]
            if attempt.started <= call.began <= _settled(attempt)
            and made.get(attempt.id, call.number) == call.number
        ]
        certain = [attempt for attempt in candidates if attempt.id in made]
        if not candidates:
            unjournaled.append(call)
            continue
        is_answered = call.number in said or call.mode in _ANSWERING
        alike = [one for one in candidates if _is_bought(one) == is_answered]
        chosen = min(certain or alike or candidates, key=_settled)
        free[chosen.owner, chosen.provider, call.text].remove(chosen)
        attempts[call.number] = chosen
    return Journal(attempts, tuple(unjournaled))


def unjournaled(evidence: Evidence) -> Iterator[Violation]:
    """Every call that the provider saw has an attempt of its own, written before it was made."""
    for call in matched(evidence).unjournaled:
        of_text = [
            one for one in evidence.attempts if evidence.topics[one.fingerprint] == call.text
        ]
        yield Violation("unjournaled", f"call {call.number} has no attempt", (call, *of_text))


def left_open(evidence: Evidence) -> Iterator[Violation]:
    """When all is quiet, only attempts of replicas that were killed are open."""
    killed = {replica.owner for replica in evidence.replicas if replica.killed is not None}
    for attempt in evidence.attempts:
        if attempt.outcome == "open" and attempt.owner not in killed:
            yield Violation("left open", "by a replica that lives", (attempt,))


def _made(evidence: Evidence) -> dict[int, int]:
    """Return by attempt the call that its answer shows, where the answer is still there."""
    shown = {answer.id: call_of(answer.result) for answer in evidence.answers}
    made = ((one.id, shown.get(one.answer_id or 0)) for one in evidence.attempts)
    return {attempt_id: number for attempt_id, number in made if number is not None}


def _is_bought(attempt: Attempt) -> bool:
    return attempt.outcome in {"answered", "duplicate"}


def _settled(attempt: Attempt) -> float:
    if attempt.finished is None or attempt.reason == GIVEN_UP:
        return inf
    return attempt.finished
