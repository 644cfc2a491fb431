"""The first answer of an epoch stands, and nothing else becomes an entry."""

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.evidence import Attempt, Evidence, Request
from tests.chaos.journaling import matched
from tests.chaos.leases import leases_of
from tests.chaos.violations import Violation


def two_answers_in_an_epoch(evidence: Evidence) -> Iterator[Violation]:
    """All answers that are served come from attempts that were settled as answered, and within an
    epoch they are the same; but a leader that was frozen until its epoch was over (purged, or
    claimed anew) may still give its answer to those who asked it."""
    journal = matched(evidence).attempts
    served = defaultdict[int, list[Request]](list)
    for request in evidence.requests:
        if request.is_given and request.call is not None:
            served[request.call].append(request)
    answered = defaultdict[tuple[bytes, int], list[Attempt]](list)
    for number, requests in served.items():
        attempt = journal.get(number)
        if attempt is None or attempt.outcome != "answered":
            what = f"the answer of call {number} was served, but not settled as the answer"
            yield Violation("two answers", what, (attempt, *requests))
    for attempt in evidence.attempts:
        if attempt.epoch > 0 and attempt.outcome == "answered":
            answered[attempt.fingerprint, attempt.epoch].append(attempt)
    for (fingerprint, epoch), attempts in answered.items():
        late = sorted(attempts, key=lambda one: one.finished or 0.0)[1:]
        for attempt in late:
            if not _was_left(evidence, fingerprint, epoch, attempt.finished or 0.0):
                yield Violation("two answers", f"in epoch {epoch}", tuple(attempts))


def wrong_entries(evidence: Evidence) -> Iterator[Violation]:
    """The entry of a question that is done was bought in that very epoch, for that question; any
    other entry was bought before."""
    bought = {one.answer_id: one for one in evidence.attempts if one.answer_id is not None}
    for flight in evidence.flights:
        if flight.answer_id is None:
            if flight.state == "done":
                yield Violation("wrong entry", "done without an answer", (flight,))
            continue
        attempt = bought.get(flight.answer_id)
        if attempt is None or attempt.fingerprint != flight.fingerprint:
            yield Violation("wrong entry", "bought for another question", (flight, attempt))
        elif attempt.epoch > flight.epoch or (
            flight.state == "done" and attempt.epoch != flight.epoch
        ):
            yield Violation("wrong entry", "bought in another epoch", (flight, attempt))


def _was_left(evidence: Evidence, fingerprint: bytes, epoch: int, moment: float) -> bool:
    """Return whether an epoch was over for good before `moment`, as far as that can be known."""
    later = [one for one in leases_of(evidence).get(fingerprint, []) if one.epoch > epoch]
    if later:
        # Two epochs on, the one between was a purge, whose moment nobody wrote down.
        return later[0].began <= moment or later[0].epoch > epoch + 1
    return any(
        flight.fingerprint == fingerprint and flight.state == "purged"
        for flight in evidence.flights
    )
