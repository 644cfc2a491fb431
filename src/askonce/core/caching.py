"""Which kept answers a request accepts, and how long an answer is kept."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from askonce.core.answers import Answer, FinishReason
from askonce.core.questions import Question

ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 12, 31, tzinfo=UTC)
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRules:
    """What a request's own `Cache-Control` says (RFC 9111 section 5.2.1)."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: timedelta | None = None

    def accepted(self, now: datetime) -> "Accepted":
        """Return which entries may be served at `now`."""
        if self.no_cache or self.no_store:
            return Accepted(now=now, stored_after=NEVER)
        if self.max_age is not None:
            return Accepted(now=now, stored_after=now - self.max_age if self.max_age else NEVER)
        return Accepted(now=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """An entry may be served when it expires after `now` and was stored after `stored_after`.

    An entry from the future was written by a clock that has been set back since: it would be
    served for longer than it may be.
    """

    now: datetime
    stored_after: datetime = ALWAYS

    @property
    def stored_by(self) -> datetime:
        """The latest moment at which an entry can have been stored, clocks differing a little."""
        return self.now + CLOCK_SKEW

    def allows(self, *, stored_at: datetime, expires_at: datetime) -> bool:
        return expires_at > self.now and self.stored_after < stored_at <= self.stored_by


def is_worth_keeping(question: Question, answer: Answer) -> bool:
    """Return whether an answer may be served again to those who ask this question.

    A cut or refused one is asked for anew, and so is one that stood in for the provider that the
    request had named.
    """
    is_whole = answer.finish_reason is FinishReason.STOP
    return is_whole and answer.provider in (question.provider, *question.fallbacks)
