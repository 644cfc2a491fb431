"""Lets nobody ask more often than they may, counted over all processes together."""

from collections import Counter
from collections.abc import Mapping, Sequence

from askonce.core.clock import Clock
from askonce.core.errors import RateLimitedError
from askonce.core.limits import (
    MICROSECONDS,
    Quota,
    Quotas,
    Rate,
    Subject,
    microseconds,
    wait_for_one,
)
from askonce.core.ports import Transaction

_MOST_REMEMBERED = 10_000

Subjects = tuple[Subject, ...]
Admission = Quotas | RateLimitedError


class RateLimits:
    """What everybody may ask. A request counts for each of its subjects, or for none of them."""

    def __init__(self, rates: Sequence[Rate], clock: Clock) -> None:
        self._rates = rates
        self._clock = clock
        # Until when each rate refuses somebody, as far as this process has seen. It gets no
        # earlier, whatever is asked elsewhere: a flood of refused requests costs no writing.
        self._refused: dict[tuple[Rate, Subject], int] = {}

    def refusal(self, subjects: Subjects) -> RateLimitedError | None:
        """Return the refusal of a request, where that is certain without a look at the table."""
        if not self._refused:
            return None
        now = microseconds(self._clock.now())
        until = {
            (rate, subject): self._refused.get((rate, subject), 0)
            for rate in self._rates
            for subject in subjects
        }
        latest = max(until.values())
        if latest <= now:
            return None
        quotas = [
            Quota.of(subject, rate, at + rate.whole - rate.interval, now=now)
            for (rate, subject), at in until.items()
            if at > now
        ]
        return RateLimitedError(retry_after=_whole_seconds(latest - now), quotas=quotas)

    def admit(self, tx: Transaction, asking: Sequence[Subjects]) -> Sequence[Admission]:
        """Count requests, each with its subjects, and return what is left of their quotas.

        All comes out as if they had been counted one after the other, in this order. One that is
        refused counts for nobody.
        """
        now = microseconds(self._clock.now())
        wanted = Counter(subject for subjects in asking for subject in subjects)
        left: dict[Rate, dict[Subject, int]] = {}
        whole_at: dict[tuple[Rate, Subject], int] = {}
        for rate in self._rates:
            taken = tx.rate_limits.take(rate, wanted, now=now)
            left[rate] = {subject: one.granted for subject, one in taken.items()}
            whole_at |= {(rate, subject): one.whole_at for subject, one in taken.items()}
        is_admitted = [_spend(left, subjects) for subjects in asking]
        for rate, grants in left.items():
            unused = {subject: count for subject, count in grants.items() if count}
            if unused:
                tx.rate_limits.give_back(rate, unused)
                for subject, count in unused.items():
                    whole_at[rate, subject] -= count * rate.interval
        # Most often all requests of a batch are of a few who ask.
        quotas = {subjects: self._quotas(subjects, whole_at, now) for subjects in set(asking)}
        return [
            quotas[subjects] if admitted else self._refuse(subjects, whole_at, now)
            for subjects, admitted in zip(asking, is_admitted, strict=True)
        ]

    def _quotas(
        self, subjects: Subjects, whole_at: Mapping[tuple[Rate, Subject], int], now: int
    ) -> Quotas:
        return [
            Quota.of(subject, rate, whole_at[rate, subject], now=now)
            for rate in self._rates
            for subject in subjects
        ]

    def _refuse(
        self, subjects: Subjects, whole_at: Mapping[tuple[Rate, Subject], int], now: int
    ) -> RateLimitedError:
        waits = {
            (rate, subject): wait_for_one(rate, whole_at[rate, subject], now=now)
            for rate in self._rates
            for subject in subjects
        }
        if len(self._refused) > _MOST_REMEMBERED:
            self._refused.clear()
        self._refused |= {which: now + wait for which, wait in waits.items() if wait}
        return RateLimitedError(
            retry_after=_whole_seconds(max(waits.values())),
            quotas=self._quotas(subjects, whole_at, now),
        )


def _spend(left: Mapping[Rate, dict[Subject, int]], subjects: Subjects) -> bool:
    """Count one request, if something is left for it everywhere."""
    if not all(grants[subject] for grants in left.values() for subject in subjects):
        return False
    for grants in left.values():
        for subject in subjects:
            grants[subject] -= 1
    return True


def _whole_seconds(microseconds: int) -> int:
    return -(-microseconds // MICROSECONDS)
