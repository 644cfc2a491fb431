"""No question is paid for twice while its leader lives.

A question's row has an epoch, which every claim and every purge raises by one, and a fence, which
every claim, purge and takeover raises by one. Every acquisition writes an attempt in its own
transaction. So attempts, by fence, tell the whole story of a question, and each step from one
lease to the next must be one of these:

- **takeover** (same epoch, next fence): the leader before was killed before it; or frozen so that
  it cannot have beaten for lease and grace, or for the grace after a lease in which the database
  took no beats from it; or it had given up (all its attempts were settled without an answer) and
  been silent since for lease and grace, because it could not write that it had. At most once in an
  epoch. A database that is slow, locked or away alone excuses nothing.
- **claim** (next epoch, next fence): the epoch before was over (all its attempts were settled) and
  had left no entry: it was never answered, or with an answer that is not worth keeping; or else
  the claim was made for a request with no-cache, at that very replica, which had been sent and not
  been answered yet, and stands for no other claim.
- **purge and claim** (the epoch after the next, the fence likewise): a DELETE that may have worked
  was under way at some time between the two leases, of an analysis of that very text, whose answer
  was not given to anybody who had not sent a DELETE of it by then. Each DELETE purges once.

Two owners never have one lease. A key outside the cache (no-store) is never led again once it was
answered. Within a lease, tries follow each other: the next begins after the last was settled
without an answer, there are no more than `max_tries` of them, one at most after one that may have
been paid, and none under an old fence. Every lease, and every call outside the cache, was
somebody's request at that replica, sent before and not answered yet.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import inf

from askonce.core.flights import CLAIMS_PER_MILLISECOND
from tests.chaos.evidence import NO_CACHE, NO_STORE, Attempt, Evidence, Request
from tests.chaos.journaling import matched
from tests.chaos.leases import Lease, by_owner, end_of, has_given_up, leases_of, was_lost
from tests.chaos.purges import Purges, Topic
from tests.chaos.violations import Violation

MAX_TAKEOVERS = 1
_NEAR_SECONDS = 3.0
_MODES_NOT_KEPT = frozenset({"length", "refusal", "filtered"})


def acquired_wrongly(evidence: Evidence) -> Iterator[Violation]:
    """Each step from one lease to the next is a takeover, a claim, or a purge and a claim, with
    what the module's docstring asks of it."""
    judge = _Judge(evidence)
    for fingerprint, leases in leases_of(evidence).items():
        first = leases[0]
        if first.fence != first.epoch or first.epoch % CLAIMS_PER_MILLISECOND != 1:
            yield judge.violation("acquired without an attempt", "the first lease", leases[:1])
        for lease in leases:
            if len({attempt.owner for attempt in lease.attempts}) > 1:
                yield judge.violation("two owners", "have one lease", [lease])
        # In the order of their moments, so that each request explains what it came in time for.
        for before, after in pairwise(leases):
            yield from judge.step(fingerprint, before, after, leases)
        yield from judge.end(fingerprint, leases[-1])


def tried_wrongly(evidence: Evidence) -> Iterator[Violation]:
    """Within a lease, or a call outside the cache, tries follow each other, and not too many."""
    for leases in leases_of(evidence).values():
        for lease in leases:
            yield from _tries(lease, evidence.times.max_tries)
        for before, after in pairwise(leases):
            late = [attempt for attempt in before.attempts if attempt.id > after.first.id]
            if late:
                yield Violation("paid twice", "a try under an old fence", (*late, after.first))


def unasked_calls(evidence: Evidence) -> Iterator[Violation]:
    """Each lease, and each answer bought outside the cache, was somebody's request, at that
    replica, sent before and not answered yet; a request buys one answer outside the cache."""
    names = {replica.owner: replica.name for replica in evidence.replicas}
    asked = defaultdict[tuple[str, str], list[Request]](list)
    for request in evidence.requests:
        asked[request.replica, request.text].append(request)
    for attempt in evidence.attempts:
        text = evidence.topics.get(attempt.fingerprint)
        candidates = asked[names.get(attempt.owner, ""), text or ""]
        if not any(
            request.sent <= attempt.started <= end_of(request.answered)
            and (attempt.epoch > 0 or request.rules == NO_STORE)
            for request in candidates
        ):
            yield Violation("unasked", "nobody asked for this call", (attempt,))
    yield from _bought_alone(evidence)


def _bought_alone(evidence: Evidence) -> Iterator[Violation]:
    asked = defaultdict[str, int](int)
    bought = defaultdict[str, list[Attempt]](list)
    for request in evidence.requests:
        if request.rules == NO_STORE and request.key is None:
            asked[request.text] += 1
    for attempt in evidence.attempts:
        if attempt.epoch == 0 and attempt.outcome == "answered":
            bought[evidence.topics.get(attempt.fingerprint, "")].append(attempt)
    for text, attempts in bought.items():
        if len(attempts) > asked[text]:
            what = f"{len(attempts)} answers for {asked[text]} requests with no-store"
            yield Violation("paid twice", what, tuple(attempts))


def _tries(lease: Lease, max_tries: int) -> Iterator[Violation]:
    for before, after in pairwise(lease.attempts):
        is_settled = before.finished is not None and before.finished <= after.started
        if not is_settled or before.outcome in {"open", "answered", "duplicate"}:
            yield Violation("paid twice", "a try before the last one failed", (before, after))
    outcomes = [one.outcome for one in lease.attempts]
    if "unknown" in outcomes[:-2]:
        what = "more than one try after one that may have been paid"
        yield Violation("paid twice", what, lease.attempts)
    of_one_provider = [one for one in lease.attempts if one.provider == lease.first.provider]
    if len(of_one_provider) > max_tries:
        yield Violation("paid twice", f"{len(of_one_provider)} tries", lease.attempts)


class _Judge:
    """Judges the steps between leases; each request and each DELETE explains one of them."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._replicas = by_owner(evidence.replicas)
        self._purges = Purges(evidence)
        self._modes = {call.number: call.mode for call in evidence.calls}
        self._calls = matched(evidence).calls()
        self._flights = {flight.fingerprint: flight for flight in evidence.flights}
        self._refreshing = defaultdict[str, list[Request]](list)
        for request in sorted(evidence.requests, key=lambda one: end_of(one.answered)):
            # A stream's headers are sent before it is known whether the flight that it joined
            # ends with an entry, which this request does not take.
            has_joined = not request.is_streamed and "collapsed" in request.headers.get(
                "cache-status", ""
            )
            if request.rules == NO_CACHE and not has_joined:
                self._refreshing[request.text].append(request)

    def step(
        self, fingerprint: bytes, before: Lease, after: Lease, leases: list[Lease]
    ) -> Iterator[Violation]:
        """Judge how one lease came after another."""
        epochs, fences = after.epoch - before.epoch, after.fence - before.fence
        if epochs == 0 and fences == 1:
            yield from self._takeover(before, after, leases)
        elif epochs == 1 and fences == 1:
            yield from self._claim(fingerprint, before, after, leases)
        elif epochs == 2 and fences == 2:
            if not self._purges.explain(self._topic(fingerprint), before.began, after.began):
                yield self.violation("paid twice", "after a purge that nobody asked for", leases)
        else:
            yield self.violation("acquired without an attempt", f"+{epochs}, +{fences}", leases)

    def end(self, fingerprint: bytes, last: Lease) -> Iterator[Violation]:
        """Judge what the row has become after its last lease."""
        flight = self._flights.get(fingerprint)
        if flight is None:
            yield self.violation("acquired wrongly", "the row has gone", [last])
            return
        step = (flight.epoch - last.epoch, flight.fence - last.fence)
        is_purged = flight.state == "purged"
        if step != ((1, 1) if is_purged else (0, 0)):
            yield self.violation("acquired without an attempt", f"+{step}", [last], flight)
        topic = self._topic(fingerprint)
        if is_purged and not self._purges.explain(topic, last.began, inf):
            yield self.violation("purged", "without a DELETE", [last], flight)

    def violation(self, rule: str, what: str, leases: list[Lease], *others: object) -> Violation:
        attempts = [attempt for lease in leases for attempt in lease.attempts]
        text = self._text(attempts[0].fingerprint)
        owners = {attempt.owner for attempt in attempts}
        replicas = [self._replicas[owner] for owner in owners if owner in self._replicas]
        moment = leases[-1].began
        asked = [
            one
            for one in self._evidence.requests
            if one.text == text and one.sent <= moment <= end_of(one.answered)
        ]
        near = [one for one in self._evidence.faults if moment - _NEAR_SECONDS < one[0] < moment]
        return Violation(rule, f"{what}: {text!r}", (*attempts, *others, *replicas, *near, *asked))

    def _takeover(self, before: Lease, after: Lease, leases: list[Lease]) -> Iterator[Violation]:
        if not (
            was_lost(before.owner, after.began, self._evidence)
            or has_given_up(before, after.began, self._evidence.times)
        ):
            yield self.violation("paid twice", "taken over while the leader lived", [before, after])
        if sum(lease.epoch == after.epoch for lease in leases) > 1 + MAX_TAKEOVERS:
            yield self.violation("paid twice", "taken over too often", leases)

    def _claim(
        self, fingerprint: bytes, before: Lease, after: Lease, leases: list[Lease]
    ) -> Iterator[Violation]:
        of_epoch = [lease for lease in leases if lease.epoch == before.epoch]
        answers = [
            attempt
            for lease in of_epoch
            for attempt in lease.attempts
            if attempt.outcome == "answered" and (attempt.finished or 0.0) <= after.began
        ]
        if answers and fingerprint in self._evidence.private:
            yield self.violation("paid twice", "for one idempotency key", leases)
        elif any(self._is_kept(attempt) for attempt in answers):
            if not self._was_demanded(fingerprint, after):
                yield self.violation("paid twice", "while an entry stood", leases)
        elif not answers and not before.is_over(after.began):
            yield self.violation("paid twice", "claimed while it was led", leases)

    def _is_kept(self, attempt: Attempt) -> bool:
        number = self._calls.get(attempt.id)
        return number is None or self._modes[number] not in _MODES_NOT_KEPT

    def _was_demanded(self, fingerprint: bytes, claim: Lease) -> bool:
        replica = self._replicas.get(claim.owner)
        waiting = self._refreshing[self._text(fingerprint)]
        for request in waiting:
            is_there = replica is not None and request.replica == replica.name
            if is_there and request.sent <= claim.began <= end_of(request.answered):
                waiting.remove(request)
                return True
        return False

    def _text(self, fingerprint: bytes) -> str:
        return self._evidence.topics.get(fingerprint, "")

    def _topic(self, fingerprint: bytes) -> Topic:
        return self._text(fingerprint), self._evidence.private.get(fingerprint)
