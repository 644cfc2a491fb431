"""Who led which question when, read from the attempts: each acquisition of a lease leaves one."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

from tests.chaos.evidence import Attempt, Evidence, Replica, Times

# Clocks are read before what they stand for, and signals take a moment to arrive.
SLACK_SECONDS = 0.25
_FAILED = frozenset({"failed", "unknown", "invalid"})


@dataclass(frozen=True, slots=True)
class Lease:
    """One acquisition of one question: its attempts, in the order in which they were made."""

    attempts: tuple[Attempt, ...]

    @property
    def first(self) -> Attempt:
        return self.attempts[0]

    @property
    def epoch(self) -> int:
        return self.first.epoch

    @property
    def fence(self) -> int:
        return self.first.fence

    @property
    def owner(self) -> str:
        return self.first.owner

    @property
    def began(self) -> float:
        return self.first.started

    def is_over(self, moment: float) -> bool:
        """Return whether all attempts that were made by then had been settled."""
        made = [one for one in self.attempts if one.started <= moment]
        return all(one.finished is not None and one.finished <= moment for one in made)


def leases_of(evidence: Evidence) -> dict[bytes, list[Lease]]:
    """Return all leases by fingerprint, the lowest fence first."""
    rows = defaultdict[bytes, defaultdict[tuple[int, int], list[Attempt]]](
        lambda: defaultdict(list)
    )
    for attempt in sorted(evidence.attempts, key=lambda attempt: attempt.id):
        if attempt.epoch > 0:
            rows[attempt.fingerprint][attempt.fence, attempt.epoch].append(attempt)
    return {
        fingerprint: [Lease(tuple(attempts)) for _, attempts in sorted(by_fence.items())]
        for fingerprint, by_fence in rows.items()
    }


def was_lost(owner: str, moment: float, evidence: Evidence) -> bool:
    """Return whether a replica was dead, or cannot have beaten for as long as followers wait.

    A follower sees no new beat for the lease, writes its probe, and sees none for the grace. A
    replica that is awake beats once a heartbeat. So it must have been frozen for all of that time
    but the beat before its freeze and the one after it; or else for all of the grace but one beat,
    if it could not write for all of the lease but two, because the database was away or another
    replica was frozen (which may have held SQLite's write lock, or the row's on PostgreSQL).
    """
    replica = by_owner(evidence.replicas).get(owner)
    if replica is None:
        return False
    if replica.killed is not None and replica.killed <= moment:
        return True
    times = evidence.times
    probed = moment - times.grace
    wait, lease, grace = (
        (probed - times.lease, moment),
        (probed - times.lease, probed),
        (probed, moment),
    )
    if _covered(wait, replica.freezes) >= times.lease + times.grace - _two_beats(times):
        return True
    others = [freeze for one in evidence.replicas for freeze in one.freezes]
    return _covered(
        grace, replica.freezes
    ) >= times.grace - times.heartbeat - SLACK_SECONDS / 2 and _covered(
        lease, [*others, *evidence.outages]
    ) >= times.lease - _two_beats(times)


def has_given_up(lease: Lease, moment: float, times: Times) -> bool:
    """Return whether a lease's calls had all failed so long before that followers may think its
    leader dead: it lives, but could not write that the flight is over."""
    ends = [attempt.finished for attempt in lease.attempts if attempt.outcome in _FAILED]
    if len(ends) < len(lease.attempts):
        return False
    silent = moment - max(end_of(end) for end in ends)
    return silent >= times.lease + times.grace - times.heartbeat - SLACK_SECONDS


def by_owner(replicas: Iterable[Replica]) -> dict[str, Replica]:
    return {replica.owner: replica for replica in replicas if replica.owner is not None}


def end_of(moment: float | None) -> float:
    """Return the latest moment at which something may have had its effect."""
    return inf if moment is None else moment


def _two_beats(times: Times) -> float:
    return 2 * times.heartbeat + SLACK_SECONDS


def _covered(window: tuple[float, float], spans: Iterable[tuple[float, float]]) -> float:
    """Return how much of a window lies in any of the spans."""
    covered, until = 0.0, window[0]
    for began, ended in sorted(spans):
        covered += max(0.0, min(ended, window[1]) - max(began, until))
        until = max(until, min(ended, window[1]))
    return covered
