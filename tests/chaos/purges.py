"""Which deletions can have purged which answers."""

from collections import defaultdict
from math import inf
from typing import TypeAlias

from tests.chaos.evidence import NO_STORE, Evidence, Removal, Request
from tests.chaos.leases import end_of

# A text, and the key where a call for it was made outside the cache.
Topic: TypeAlias = tuple[str, str | None]


class Purges:
    """The DELETEs that may have taken a question's answer away; each is used up by one purge.

    A row cannot be written for an answer that is gone, so an answer that anybody was given who had
    sent no DELETE of it by some moment was not purged by then, whatever else was deleted.
    """

    def __init__(self, evidence: Evidence) -> None:
        given = {one.json["id"]: one for one in evidence.requests if one.is_given}
        sent = defaultdict[int, float](lambda: inf)
        for removal in evidence.removals:
            if removal.may_have_worked:
                sent[removal.analysis_id] = min(sent[removal.analysis_id], removal.sent)
        # By text and result: when the last DELETE was sent that a purge had to wait for.
        self._soonest = defaultdict[tuple[str, str], float](float)
        for analysis_id, request in given.items():
            answer = _answer(request)
            self._soonest[answer] = max(self._soonest[answer], sent[analysis_id])
        for kept in evidence.answers:
            self._soonest[kept.text, kept.result] = inf
        self._free = defaultdict[Topic, list[tuple[Removal, Request]]](list)
        for removal in sorted(evidence.removals, key=lambda one: end_of(one.answered)):
            found = given.get(removal.analysis_id)
            if removal.may_have_worked and found is not None:
                key = found.key if found.rules == NO_STORE else None
                self._free[found.text, key].append((removal, found))

    def explain(self, topic: Topic, after: float, before: float) -> bool:
        """Return whether a DELETE can have purged the topic's answer between two moments."""
        for one in self._free[topic]:
            removal, request = one
            soonest = max(removal.sent, after, self._soonest[_answer(request)])
            if soonest <= min(end_of(removal.answered), before):
                self._free[topic].remove(one)
                return True
        return False


def _answer(request: Request) -> tuple[str, str]:
    return request.text, request.json["result"]
