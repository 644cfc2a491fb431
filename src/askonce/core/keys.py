"""Keys: what callers prove with who they are, and where they are kept."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from askonce.core.access import Role

PREFIX = "ask_"
RANDOM_BYTES = 32
# 36 of a key's 256 bits: enough to recognise it by, no help in guessing it.
SHOWN_CHARACTERS = len(PREFIX) + 6


def text_of(random: bytes) -> str:
    """Return the text of a key that is made of so many random bytes."""
    return PREFIX + base64.urlsafe_b64encode(random).decode().rstrip("=")


def digest_of(key: bytes) -> bytes:
    """Return what is kept of a key: SHA-256. What has 256 random bits needs no slow hash."""
    return hashlib.sha256(key).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key that is to be good from now on. `user_id` is that of the role `USER`, else None."""

    tenant: str
    name: str
    role: Role
    user_id: str | None
    digest: bytes = field(repr=False)
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key, as far as it is known once it has been given out.

    It keeps its id when it is rotated. The text that it had before is good until `previous_until`.
    """

    id: int
    tenant: str
    name: str
    role: Role
    user_id: str | None
    digest: bytes = field(repr=False)
    shown: str
    previous_digest: bytes | None = field(repr=False)
    previous_until: datetime | None
    created_at: datetime
    rotated_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNews:
    """Which keys have changed. `version` grows with every change; `is_all`: they are all keys."""

    version: int
    keys: Sequence[Key]
    is_all: bool


class Keys(Protocol):
    """All keys, also those that were revoked. Whoever changes one waits for all other changes."""

    def hold(self) -> None:
        """Keep all others from changing keys until this transaction ends."""

    def add(self, new: NewKey, *, at: datetime) -> Key:
        """Make a key good from now on."""

    def rotate(
        self, key: Key, *, digest: bytes, shown: str, previous_until: datetime | None, at: datetime
    ) -> Key:
        """Give a key another text; the one it had is good until `previous_until`, or no more."""

    def revoke(self, key: Key, *, at: datetime) -> Key:
        """Make a key good no more."""

    def by_id(self, key_id: int) -> Key | None:
        """Return a key that was not revoked."""

    def named(self, tenant: str, name: str) -> Key | None:
        """Return the key of that name that was not revoked: there is at most one."""

    def all(self, tenant: str | None) -> Sequence[Key]:
        """Return all keys, or those of a tenant, the oldest first."""

    def is_any(self) -> bool:
        """Return whether a key was ever made."""

    def news(self, since: int | None) -> KeyNews:
        """Return what has changed after version `since`; without one, all keys."""
