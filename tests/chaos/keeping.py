"""What clients were given: kept, unchanged, and an answer to what they asked."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.evidence import Evidence, Removal, digest_of
from tests.chaos.violations import Violation

# Under faults these may come; a 500, or a 4xx to a request without fault, may not.
_EXPECTED = frozenset({0, 200, 502, 503, 504})


def lost_or_changed(evidence: Evidence) -> Iterator[Violation]:
    """Every 200 is in the history with the same id, user, result and `cached`, unless a DELETE of
    it was sent that may have worked. A DELETE never finds less than that either."""
    answers = {answer.id: answer for answer in evidence.answers}
    analyses = {analysis.id: analysis for analysis in evidence.analyses}
    removals = defaultdict[int, list[Removal]](list)
    for removal in evidence.removals:
        removals[removal.analysis_id].append(removal)
    for request in (one for one in evidence.requests if one.is_given):
        given = request.json
        row = analyses.get(given["id"])
        if row is None:
            if not any(removal.may_have_worked for removal in removals[given["id"]]):
                yield Violation("lost", f"analysis {given['id']} is not in the history", (request,))
            continue
        answer = answers.get(row.answer_id)
        kept = (row.user, row.cached, answer and answer.result)
        if kept != (given["user_id"], given["cached"], given["result"]):
            yield Violation("changed", f"analysis {row.id}", (request, row, answer))
        if given["user_id"] != request.user:
            yield Violation("changed", "the history row is somebody else's", (request,))
    for removal in (one for one in evidence.removals if one.status == 404):
        others = [one for one in removals[removal.analysis_id] if one is not removal]
        if not any(one.may_have_worked and one.sent < (removal.answered or 0) for one in others):
            yield Violation("lost", "a DELETE did not find what was given", (removal,))


def unasked_rows(evidence: Evidence) -> Iterator[Violation]:
    """A user, who asked once (or repeated one key), has one row at most; nobody else has any."""
    users = {request.user for request in evidence.requests}
    rows = Counter(analysis.user for analysis in evidence.analyses)
    keyed = {request.user for request in evidence.requests if request.key is not None}
    for analysis in evidence.analyses:
        if analysis.user not in users:
            yield Violation("unasked row", f"of user {analysis.user}", (analysis,))
    for user, count in rows.items():
        if count > 1 and user not in keyed:
            of_user = [analysis for analysis in evidence.analyses if analysis.user == user]
            asked = [request for request in evidence.requests if request.user == user]
            yield Violation("unasked row", f"{count} for one request", (*of_user, *asked))


def mixed_up(evidence: Evidence) -> Iterator[Violation]:
    """What a client is given, and what is kept, is an answer to the text that was asked."""
    for request in evidence.requests:
        if request.is_given and not _answers(request.json["result"], request.text):
            yield Violation("mixed up", "an answer to another question", (request,))
    for answer in evidence.answers:
        if not _answers(answer.result, answer.text):
            yield Violation("mixed up", "an answer is kept with another question", (answer,))
        if evidence.topics.get(answer.fingerprint) != answer.text:
            yield Violation("mixed up", "an answer is kept under another key", (answer,))


def wrong_deltas(evidence: Evidence) -> Iterator[Violation]:
    """What a stream says piece by piece is, in the end, its answer."""
    for request in evidence.requests:
        if request.is_given and request.deltas is not None:
            result = request.json["result"]
            if request.deltas != result:
                yield Violation("wrong deltas", f"{request.deltas!r}, then {result!r}", (request,))


def unexpected(evidence: Evidence) -> Iterator[Violation]:
    """Faults give 502, 503 or 504, never another error to a request that is right."""
    for request in evidence.requests:
        # A key may be answered 410 and 422 as well: that is for `repeating` to judge.
        if request.status not in _EXPECTED and request.key is None:
            yield Violation("unexpected", f"status {request.status}", (request,))
    for removal in evidence.removals:
        if removal.status not in {0, 204, 404, 503}:
            yield Violation("unexpected", f"status {removal.status}", (removal,))


def _answers(result: str, text: str) -> bool:
    digest = digest_of(result)
    # A refusal shows no digest.
    return digest is None or hashlib.sha256(text.encode()).hexdigest().startswith(digest)
