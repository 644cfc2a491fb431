"""Lets nobody ask more often than they may, counted over all processes together."""

from collections import Counter
from collections.abc import Mapping, Sequence

from askonce.core.clock import Clock
from askonce.core.errors import RateLimitedError
from askonce.core.limits import (
    Quota,
    Quotas,
    Rate,
    Subject,
    microseconds,
    whole_seconds,
)
from askonce.core.ports import Transaction
from askonce.core.requests import Request, Visit

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

    def refusal(self, request: Request | Visit) -> RateLimitedError | None:
        """Return the refusal of a request, where that is certain without a look at the table."""
        if not self._refused:
            return None
        now = microseconds(self._clock.now())
        until = {
            (rate, subject): self._refused.get((rate, subject), 0)
            for rate in self._rates
            for subject in request.counted_for
        }
        latest = max(until.values())
        if latest <= now:
            return None
        quotas = [
            Quota.of(subject, rate, at + rate.whole - rate.interval, now=now)
            for (rate, subject), at in until.items()
            if at > now
        ]
        return RateLimitedError(retry_after=whole_seconds(latest - now), quotas=quotas)

    def admit(self, tx: Transaction, asking: Sequence[Subjects]) -> Sequence[Admission]:
        """Count requests, each with its subjects, and return what is left of their quotas.

        All comes out as if they had been counted one after the other, in this order. One that is
        refused counts for nobody.
        """
        now = microseconds(self._clock.now())
        wanted = Counter(subject for subjects in asking for subject in subjects)
        taken = [tx.rate_limits.take(rate, wanted, now=now) for rate in self._rates]
        left = [{subject: one.granted for subject, one in grants.items()} for grants in taken]
        is_admitted = [_spend(left, subjects) for subjects in asking]
        quotas: dict[Subject, list[Quota]] = {subject: [] for subject in wanted}
        for rate, grants, rest in zip(self._rates, taken, left, strict=True):
            unused = {subject: count for subject, count in rest.items() if count}
            if unused:
                tx.rate_limits.give_back(rate, unused)
            for subject, (_, whole_at) in grants.items():
                given_back = unused[subject] * rate.interval if subject in unused else 0
                quotas[subject].append(Quota.of(subject, rate, whole_at - given_back, now=now))
        return [
            [quota for subject in subjects for quota in quotas[subject]]
            if admitted
            else self._refuse(subjects, quotas, now)
            for subjects, admitted in zip(asking, is_admitted, strict=True)
        ]

    def _refuse(
        self, subjects: Subjects, quotas: Mapping[Subject, Quotas], now: int
    ) -> RateLimitedError:
        if len(self._refused) > _MOST_REMEMBERED:
            self._refused.clear()
        told = [quota for subject in subjects for quota in quotas[subject]]
        waits = []
        for subject in subjects:
            for quota in quotas[subject]:
                if not quota.remaining:
                    waits.append(quota.wait)
                    self._refused[quota.rate, subject] = now + quota.wait
        return RateLimitedError(retry_after=whole_seconds(max(waits)), quotas=told)


def _spend(left: Sequence[dict[Subject, int]], subjects: Subjects) -> bool:
    """Count one request, if something is left for it everywhere."""
    for grants in left:
        for subject in subjects:
            if not grants[subject]:
                return False
    for grants in left:
        for subject in subjects:
            grants[subject] -= 1
    return True
