"""Erasing everything that is held about a user, and keeping it erased."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from askonce.core.access import Asker


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What an erasure did: how many rows of each kind are gone.

    `anonymised` rows prove what was spent, and say no longer for whom or for what.
    """

    user_id: str
    erased_at: datetime
    deleted: Mapping[str, int]
    anonymised: Mapping[str, int]


class Erasures(Protocol):
    """Which users were erased lately, so that what began before cannot bring anything back.

    A user's era grows with each erasure. It is noted when a request has found nothing in the
    cache, and asked for again by every transaction that writes for it later.
    """

    def eras(self, askers: Sequence[Asker]) -> Sequence[int]:
        """Return the eras that their users are in, 0 for who was not erased lately."""

    def begin(self, tenant: str, user_id: str, *, at: datetime) -> None:
        """Begin a user's next era.

        Once this is committed, whatever was written in an earlier era is committed too, and
        nothing is written in one any more.
        """

    def erase(self, tenant: str, user_id: str, *, at: datetime) -> Receipt:
        """Delete all rows of a user, and the answers and cache entries that nobody else uses."""


class Spooled(Protocol):
    """The files of this host in which paid answers wait for their commit."""

    def forget(self, tenant: str, user_id: str) -> int:
        """Remove all answers that a user has here, and return how many that were."""


class Residue(Protocol):
    """What can still be read in a database's files although it was deleted."""

    def pending(self) -> int | None:
        """Return up to which deletion there is something to wipe; None: there is nothing."""

    def merge_words(self, *, is_first: bool) -> bool:
        """Take a step in rewriting the full-text index; False once nothing is left to do."""

    def empty_log(self) -> bool:
        """Move the log into the file and empty it; False where somebody still reads from it."""

    def wiped(self, version: int) -> None:
        """Note that everything up to this deletion has been wiped."""


def is_erased(erasures: Erasures, asker: Asker) -> bool:
    """Return whether a user has been erased since this request began."""
    return bool(erased_of(erasures, [asker]))


def erased_of(erasures: Erasures, askers: Sequence[Asker]) -> frozenset[Asker]:
    """Return those whose users have been erased since their requests began."""
    begun = [asker for asker in askers if asker.era is not None]
    if not begun:
        return frozenset()
    # Larger, not other: an erasure that is long past is forgotten, and its era is 0 again.
    eras = zip(begun, erasures.eras(begun), strict=True)
    return frozenset(asker for asker, era in eras if era > (asker.era or 0))
