"""Browsers that are signed in to the console, for a while, in place of a key."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

# As OWASP's cheat sheet on session management has it: a working day at most, an hour unused.
LONGEST = timedelta(hours=12)
IDLE = timedelta(hours=1)
# Use is noted so often, not with each request: that would be a write for each page.
NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """A browser that showed a key. It is let in while that very text of the key is good.

    `digest` is all that is kept of what the browser holds, `key_digest` of the key. `user_id` is
    that of a user's own key, and None for all others.
    """

    digest: bytes = field(repr=False)
    tenant: str
    key_id: int
    key_digest: bytes = field(repr=False)
    user_id: str | None
    created_at: datetime
    expires_at: datetime

    def is_over(self, now: datetime) -> bool:
        """Return whether it was used for too long, or not used for too long."""
        return self.expires_at <= now

    def expiry_after_use(self, now: datetime) -> datetime | None:
        """Return when it ends if it is used now; None where that need not be noted yet."""
        later = min(now + IDLE, self.created_at + LONGEST)
        return later if later - self.expires_at >= NOTED_EVERY else None


class SignIns(Protocol):
    """All browsers that are signed in."""

    def add(self, sign_in: SignIn) -> None:
        """Let a browser in."""

    def one(self, digest: bytes) -> SignIn | None:
        """Return what is known of a browser, also where it is over."""

    def extend(self, digest: bytes, *, expires_at: datetime) -> None:
        """Note that it was used."""

    def remove(self, digest: bytes) -> bool:
        """Forget a browser; False where it was not known."""

    def remove_all_but_newest(self, key_id: int, *, kept: int) -> None:
        """Forget all browsers of a key but the newest: nobody signs in without end."""
