"""How often somebody may ask: rates, and whom they count for.

The generic cell rate algorithm (ITU-T I.371, annex A), in whole microseconds: all that is
remembered of somebody is the moment at which their whole quota is there again. Each request moves
it on by the rate's interval; it may lie no further ahead than the whole quota takes. Up to `count`
requests may so come at once, and `count` in every period after that; there is no moment at which
all counters start anew and everybody comes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

MICROSECONDS: Final = 1_000_000
PERIODS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
# More would be an interval of less than a microsecond.
_MOST: Final = MICROSECONDS
_RATE = re.compile(r"([1-9][0-9]{0,6}) ?/ ?(second|minute|hour|day)", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in each second, minute, hour or day."""

    count: int
    period: str

    @classmethod
    def of(cls, written: str) -> "Rate":
        """Return a rate that is written as `120/minute`.

        Raises:
            ValueError: it is not.
        """
        match = _RATE.fullmatch(written)
        if match is None or int(match[1]) > _MOST:
            message = "is not a rate such as 120/minute (second, minute, hour or day)"
            raise ValueError(message)
        return cls(int(match[1]), match[2])

    @property
    def seconds(self) -> int:
        return PERIODS[self.period]

    @property
    def interval(self) -> int:
        """How many microseconds one request takes of the quota, rounded up."""
        return -(-self.seconds * MICROSECONDS // self.count)

    @property
    def whole(self) -> int:
        """How many microseconds it takes until a quota that was used up is whole again."""
        return self.count * self.interval


class Subject(NamedTuple):
    """Whose requests are counted together: those with one key, or those for one user."""

    tenant: str
    kind: str
    name: str

    @classmethod
    def key(cls, tenant: str, key_id: int | None) -> "Subject":
        """Return whoever has a key; all who have none are one."""
        return cls(tenant, "key", "" if key_id is None else str(key_id))

    @classmethod
    def user(cls, tenant: str, user_id: str) -> "Subject":
        return cls(tenant, "user", user_id)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a subject was granted of what it wanted, and when its quota is whole again."""

    granted: int
    whole_at: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What is left of somebody's quota; it is whole, or there is some of it, in `seconds`."""

    kind: str
    rate: Rate
    remaining: int
    seconds: int

    @classmethod
    def of(cls, subject: Subject, rate: Rate, whole_at: int, *, now: int) -> "Quota":
        """Return what is left at `now`; both times in microseconds."""
        ahead = max(whole_at - now, 0)
        remaining = max(rate.whole - ahead, 0) // rate.interval
        wait = wait_for_one(rate, whole_at, now=now)
        return cls(subject.kind, rate, remaining, -(-(wait or ahead) // MICROSECONDS))


Quotas = Sequence[Quota]


def wait_for_one(rate: Rate, whole_at: int, *, now: int) -> int:
    """Return in how many microseconds a request will be granted; 0: now."""
    return max(max(whole_at, now) + rate.interval - rate.whole - now, 0)


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
