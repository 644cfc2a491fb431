"""Seals over the audit trail: a Merkle tree for each, every one of them chained to the one before.

Hashes are made as in RFC 6962 section 2.1: a leaf is SHA-256 of 0x00 and an event's canonical
bytes, a node that of 0x01 and its two children. A seal is hashed behind 0x02. So none of the three
can be passed off as another.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from askonce.core import ranges
from askonce.core.ranges import Range

# Ids are drawn right before a commit. Whatever was drawn so long ago is not going to be committed.
PATIENCE = timedelta(minutes=10)
# Hashing so many takes 2 ms, in which nobody else has the interpreter.
MOST_EVENTS = 256
HASH_BYTES = 32
BEGINNING = bytes(HASH_BYTES)

_LEAF, _NODE, _SEAL = b"\x00", b"\x01", b"\x02"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_COMPACT = json.JSONEncoder(separators=(",", ":"))

# What an event is hashed as: numbers, words, and null for what is not known.
Facts = Sequence[int | str | None]


@dataclass(frozen=True, slots=True)
class Hole:
    """Ids that were not to be seen when later ones were sealed, and since when."""

    ids: Range
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """A batch of events that has been sealed.

    `ids` are those of its events, in the order of its leaves; `total` counts those of all seals up
    to this one, and `highest` is the largest id among those. `holes` may still be filled by
    transactions that were not committed yet; any other id up to `highest` is either sealed by now
    or belongs to no event.
    """

    number: int
    at: datetime
    ids: Sequence[Range]
    highest: int
    holes: Sequence[Hole]
    total: int
    leaves: bytes = field(repr=False)
    root: bytes
    previous: bytes
    hash: bytes

    def coverage(self) -> "Coverage":
        """Return which ids are settled with this seal and all before it."""
        return Coverage(self.highest, self.holes)

    def leaf_hashes(self) -> list[bytes]:
        """Return the hash of each event, in their order."""
        return [self.leaves[at : at + HASH_BYTES] for at in range(0, len(self.leaves), HASH_BYTES)]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which ids are settled: all up to `highest` that are in no hole."""

    highest: int = 0
    holes: Sequence[Hole] = ()

    def after(self, ids: Sequence[Range], at: datetime) -> "Coverage":
        """Return the coverage once these have been sealed at that time; old holes are closed."""
        highest = max([self.highest, *(last for _, last in ids)])
        known = [hole for hole in self.holes if at - hole.since < PATIENCE]
        holes = [
            Hole(left, hole.since) for hole in known for left in ranges.without([hole.ids], ids)
        ]
        if highest > self.highest:
            beyond = ranges.without([(self.highest + 1, highest)], ids)
            holes += [Hole(left, at) for left in beyond]
        return Coverage(highest, holes)


def microseconds(moment: datetime) -> int:
    """Return a moment as microseconds since 1970 in UTC."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def canonical(facts: Facts) -> bytes:
    """Return the bytes that stand for an event: a JSON array, compact and in ASCII.

    Two events have the same bytes only if all their facts are the same.
    """
    return _COMPACT.encode(facts).encode("ascii")


def leaf_of(facts: Facts) -> bytes:
    """Return the hash of an event."""
    return hashlib.sha256(_LEAF + canonical(facts)).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the Merkle tree hash of leaves that are hashed already (RFC 6962 section 2.1)."""
    if not leaves:
        return hashlib.sha256().digest()
    level = list(leaves)
    # To pair neighbours and to carry an odd last one up unchanged splits as the RFC does.
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        paired = [hashlib.sha256(_NODE + left + right).digest() for left, right in pairs]
        level = paired + level[len(level) - len(level) % 2 :]
    return level[0]


def sealed(previous: Seal | None, leaves: Sequence[tuple[int, bytes]], at: datetime) -> Seal:
    """Return the seal that follows, over events given by id and leaf, in ascending order."""
    ids = ranges.ranges_of(one for one, _ in leaves)
    hashes = [leaf for _, leaf in leaves]
    coverage = (Coverage() if previous is None else previous.coverage()).after(ids, at)
    seal = Seal(
        number=1 if previous is None else previous.number + 1,
        at=at,
        ids=ids,
        highest=coverage.highest,
        holes=coverage.holes,
        total=(0 if previous is None else previous.total) + len(leaves),
        leaves=b"".join(hashes),
        root=root_of(hashes),
        previous=BEGINNING if previous is None else previous.hash,
        hash=b"",
    )
    return replace(seal, hash=hash_of(seal))


def hash_of(seal: Seal) -> bytes:
    """Return the hash that a seal must have: it stands for all events up to here."""
    facts: Facts = (
        seal.number,
        microseconds(seal.at),
        ranges.written(seal.ids),
        seal.highest,
        written_holes(seal.holes),
        seal.total,
        seal.root.hex(),
        seal.previous.hex(),
    )
    return hashlib.sha256(_SEAL + canonical(facts)).digest()


def written_holes(holes: Sequence[Hole]) -> str:
    """Return holes as text: `491-492@1795000000000000`, with microseconds since 1970."""
    return ",".join(f"{ranges.written([hole.ids])}@{microseconds(hole.since)}" for hole in holes)


def read_holes(text: str) -> list[Hole]:
    """Return what was written.

    Raises:
        ValueError: it is not that.
    """
    holes: list[Hole] = []
    for part in text.split(",") if text else ():
        ids, _, since = part.partition("@")
        (one,) = ranges.read(ids)
        try:
            moment = _EPOCH + timedelta(microseconds=int(since))
        except OverflowError:
            raise ValueError("not a time") from None
        holes.append(Hole(one, moment))
    return holes
