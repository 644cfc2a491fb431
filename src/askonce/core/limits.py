"""How often somebody may ask: rates, and whom they count for.

The generic cell rate algorithm (ITU-T I.371, annex A), in whole microseconds: all that is
remembered of somebody is the moment at which their whole quota is there again. Each request moves
it on by the rate's interval; it may lie no further ahead than the whole quota takes. Up to `count`
requests may so come at once, and `count` in every period after that; there is no moment at which
all counters start anew and everybody comes.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
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
    """So many requests in each second, minute, hour or day.

    `interval` is how many microseconds one request takes of the quota, rounded up; `whole`, how
    many it takes until a quota that was used up is whole again.
    """

    count: int
    period: str
    seconds: int = field(init=False, compare=False)
    interval: int = field(init=False, compare=False)
    whole: int = field(init=False, compare=False)

    def __post_init__(self) -> None:
        # Worked out once: each hit asks for it.
        seconds = PERIODS[self.period]
        interval = -(-seconds * MICROSECONDS // self.count)
        object.__setattr__(self, "seconds", seconds)
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "whole", self.count * interval)

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


class Taken(NamedTuple):
    """What a subject was granted of what it wanted, and when its quota is whole again."""

    granted: int
    whole_at: int


class Quota(NamedTuple):
    """What is left of somebody's quota: all is there again, or some where nothing is, in `wait`.

    Named tuples, as all of this is made anew for each hit; `wait` is in microseconds.
    """

    kind: str
    rate: Rate
    remaining: int
    wait: int

    @classmethod
    def of(cls, subject: Subject, rate: Rate, whole_at: int, *, now: int) -> "Quota":
        """Return what is left at `now`; both times in microseconds."""
        ahead = whole_at - now if whole_at > now else 0
        room = rate.whole - ahead
        if room >= rate.interval:
            return cls(subject.kind, rate, room // rate.interval, ahead)
        return cls(subject.kind, rate, 0, rate.interval - room)

    @property
    def seconds(self) -> int:
        return whole_seconds(self.wait)


Quotas = Sequence[Quota]


def whole_seconds(microseconds: int) -> int:
    """Return microseconds as seconds, rounded up."""
    return -(-microseconds // MICROSECONDS)


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)
