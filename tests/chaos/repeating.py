"""An Idempotency-Key stands for one request with one outcome."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.evidence import Evidence, Removal, Request
from tests.chaos.violations import Violation

# No answer, and no database to look the key up in.
_UNDECIDED = frozenset({0, 503})


def given_two_bodies(evidence: Evidence) -> Iterator[Violation]:
    """All 200 of one key have the same body. Once one was given, whoever sends the key again gets
    that body, marked as a replay, or 410 after a DELETE of it; after its 204, never the body."""
    removals = defaultdict[int, list[Removal]](list)
    for removal in evidence.removals:
        removals[removal.analysis_id].append(removal)
    for key, requests in _by_key(evidence).items():
        repeats = [one for one in requests if one.text == _original(requests)]
        given = [one for one in repeats if one.is_given]
        if len({one.body for one in given}) > 1:
            yield Violation("two bodies", f"for the key {key}", tuple(given))
        elif given:
            yield from _after(given, repeats, removals[given[0].json["id"]])
        elif any(one.status == 410 for one in repeats):
            yield Violation("unexpected", "the key had not been used", tuple(repeats))


def given_two_rows(evidence: Evidence) -> Iterator[Violation]:
    """The user who alone sent a key has one history row at most."""
    for key, requests in _by_key(evidence).items():
        rows = [one for one in evidence.analyses if one.user == requests[0].user]
        if len(rows) > 1:
            yield Violation("two rows", f"for the key {key}", (*rows, *requests))


def mismatched(evidence: Evidence) -> Iterator[Violation]:
    """A key that was answered with 200 for one text is 422 with another one, ever after."""
    for key, requests in _by_key(evidence).items():
        given = [one for one in requests if one.is_given]
        first = min(given, key=_ended, default=None)
        for request in requests:
            if first is None or request.text == first.text:
                continue
            is_later = request.sent > _ended(first)
            if request.is_given or (is_later and request.status not in {422, *_UNDECIDED}):
                what = f"the key {key} was taken for another request"
                yield Violation("mismatch", what, (first, request))


def _after(
    given: list[Request], repeats: list[Request], removals: list[Removal]
) -> Iterator[Violation]:
    first = min(given, key=lambda one: one.answered or 0.0)
    for request in repeats:
        is_gone = any(one.status == 204 and _ended(one) < request.sent for one in removals)
        may_be_gone = any(
            one.may_have_worked and one.sent < (request.answered or 0.0) for one in removals
        )
        if request.is_given:
            is_later = request.sent > (first.answered or 0.0)
            if is_gone:
                what = "a key replays what was deleted"
                yield Violation("back from the dead", what, (*removals, request))
            elif is_later and request.headers.get("idempotent-replayed") != "true":
                yield Violation("two bodies", "a replay is not marked", (first, request))
        elif request.status == 410 and may_be_gone:
            continue
        elif request.status in {410, 422} or (
            request.sent > (first.answered or 0.0) and request.status not in _UNDECIDED
        ):
            yield Violation("unexpected", "after a 200", (first, request, *removals))


def _by_key(evidence: Evidence) -> dict[str, list[Request]]:
    """Return what was sent with each key, in that order."""
    by_key = defaultdict[str, list[Request]](list)
    for request in sorted(evidence.requests, key=lambda one: one.sent):
        if request.key is not None:
            by_key[request.key].append(request)
    return by_key


def _original(requests: list[Request]) -> str:
    """Return the text that a key stands for: the one it was answered for, or else came with."""
    given = [one for one in requests if one.is_given]
    return min(given, key=_ended, default=requests[0]).text


def _ended(record: Removal | Request) -> float:
    return float("inf") if record.answered is None else record.answered
