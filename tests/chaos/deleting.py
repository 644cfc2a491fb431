"""What was deleted is gone."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

from tests.chaos.evidence import Evidence, Removal, call_of
from tests.chaos.leases import end_of
from tests.chaos.violations import Violation


@dataclass(frozen=True, slots=True)
class _Life:
    """The longest time for which a history row can have been there."""

    began: float
    ended: float
    records: tuple[object, ...]


def back_from_the_dead(evidence: Evidence) -> Iterator[Violation]:
    """An answer lives while some history row uses it; after the last one was deleted with 204, it
    is not given to anybody.

    A row's life begins after its user first asked, and ends before its DELETE got 204; one whose
    user was never answered cannot have been deleted, and is there at the end. So the lives of all
    rows with one answer, each as long as it can have been, must follow each other without a gap.
    """
    for (_, result), lives in _lives(evidence).items():
        # An answer that shows no call, such as a refusal, may be given again and again.
        if call_of(result) is None:
            continue
        lives.sort(key=lambda life: life.began)
        until, seen = lives[0].ended, lives[0].records
        for life in lives[1:]:
            if life.began > until:
                yield Violation("back from the dead", result, (*seen, *life.records))
            until = max(until, life.ended)
            seen = (*seen, *life.records)


def left_behind(evidence: Evidence) -> Iterator[Violation]:
    """A row whose DELETE got 204 is not there at the end, and no answer is there without a row."""
    deleted = _deleted(evidence)
    for analysis in evidence.analyses:
        if deleted[analysis.id]:
            records = (*deleted[analysis.id], analysis)
            yield Violation("left behind", "a deleted row", records)
    used = {analysis.answer_id for analysis in evidence.analyses}
    for answer in evidence.answers:
        if answer.id not in used:
            yield Violation("left behind", "an answer that no row uses", (answer,))


def _lives(evidence: Evidence) -> dict[tuple[str, str], list[_Life]]:
    """Return the lives of all rows by text and result."""
    deleted = _deleted(evidence)
    began = defaultdict[str, float](lambda: inf)
    for request in evidence.requests:
        began[request.user] = min(began[request.user], request.sent)
    lives = defaultdict[tuple[str, str], list[_Life]](list)
    known = {request.json["id"]: request for request in evidence.requests if request.is_given}
    for analysis_id, request in known.items():
        removals = deleted[analysis_id]
        ended = min((end_of(removal.answered) for removal in removals), default=inf)
        life = _Life(began[request.user], ended, (request, *removals))
        lives[request.text, request.json["result"]].append(life)
    answers = {answer.id: answer for answer in evidence.answers}
    for analysis in evidence.analyses:
        answer = answers.get(analysis.answer_id)
        if analysis.id not in known and answer is not None:
            life = _Life(began[analysis.user], inf, (analysis,))
            lives[answer.text, answer.result].append(life)
    return lives


def _deleted(evidence: Evidence) -> defaultdict[int, list[Removal]]:
    """Return the DELETEs that got 204, by analysis."""
    deleted = defaultdict[int, list[Removal]](list)
    for removal in evidence.removals:
        if removal.status == 204:
            deleted[removal.analysis_id].append(removal)
    return deleted
