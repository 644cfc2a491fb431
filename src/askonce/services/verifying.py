"""Verifies the audit trail from its first event to its last, in constant memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from askonce.core import ranges
from askonce.core.ports import Database, Transaction
from askonce.core.ranges import Range
from askonce.core.seals import (
    BEGINNING,
    HASH_BYTES,
    Coverage,
    Facts,
    Seal,
    hash_of,
    leaf_of,
    root_of,
)


class Wrong(Enum):
    """What can be wrong with the trail."""

    CHANGED = "was changed"
    MOVED = "stands in the place of another"
    REMOVED = "was removed"
    ADDED = "was put in"
    SEAL_CHANGED = "the seal was changed"
    SEAL_REMOVED = "the seal was removed"
    HEAD_UNKNOWN = "the trail does not lead to this head: it was cut off or written anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first thing that is wrong: with an event, with a seal, or with the way to a head.

    Of a seal that was changed, or follows one that was, `event` is the first that it covers.
    `belongs` is the id under which an event was sealed that was moved. `sealed_up_to` is the last
    event that a head proves to be as it was, where heads were given.
    """

    wrong: Wrong
    seal: int
    event: int | None = None
    belongs: int | None = None
    sealed_up_to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was verified, and what is wrong, if anything is.

    `unsealed` events are too young to have a seal: of these nothing can be said.
    """

    seals: int
    events: int
    unsealed: int = 0
    head: str | None = None
    finding: Finding | None = None

    @property
    def is_good(self) -> bool:
        return self.finding is None


@dataclass(frozen=True, slots=True)
class Head:
    """A head that was kept elsewhere: the hash of a seal, and its number where that was kept."""

    hash: bytes
    number: int | None = None

    @classmethod
    def read(cls, written: str) -> "Head":
        """Read what `head_of` wrote, or the hash alone.

        Raises:
            ValueError: it is neither.
        """
        number, colon, hashed = written.strip().rpartition(":")
        digest = bytes.fromhex(hashed)
        if len(digest) != HASH_BYTES or (colon and not number.isdecimal()):
            raise ValueError("not a head")
        return cls(digest, int(number) if colon else None)


def head_of(seal: Seal) -> str:
    """Return what is to be kept elsewhere: it stands for all events up to here."""
    return f"{seal.number}:{seal.hash.hex()}"


class _WrongError(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.wrong.value)
        self.finding = finding


@dataclass(slots=True)
class _Walk:
    """How far the verification has come."""

    number: int = 0
    hash: bytes = BEGINNING
    total: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    proved: int | None = None
    heads: list[Head] = field(default_factory=list)


class Verification:
    """Walks along the chain of seals, and looks at each event under each of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(
        self, heads: Sequence[Head] = (), *, told: Callable[[int], None] = lambda _events: None
    ) -> Verdict:
        """Return what is wrong first, if anything is.

        `heads` were kept elsewhere. Without one, somebody who can write to the database, and seals
        it all anew, cannot be found out. `told` is called with the number of events so far.

        Raises:
            DatabaseUnavailableError: the database did not answer.
        """
        walk = _Walk(heads=list(heads))
        try:
            for seal in self._seals(walk):
                self._verify(walk, seal)
                told(walk.total)
            self._verify_heads_are_reached(walk)
        except _WrongError as wrong:
            return Verdict(seals=walk.number, events=walk.total, finding=wrong.finding)
        with self._database.reading() as tx:
            unsealed = tx.trail.count_unsettled(walk.coverage)
        head = f"{walk.number}:{walk.hash.hex()}" if walk.number else None
        return Verdict(seals=walk.number, events=walk.total, unsealed=unsealed, head=head)

    def _seals(self, walk: _Walk) -> Iterator[Seal]:
        while True:
            try:
                # A transaction for each: a long one would hold up the vacuum of PostgreSQL.
                with self._database.reading() as tx:
                    seal = tx.seals.after(walk.number)
            except (ValueError, TypeError):
                raise _wrong(walk, Wrong.SEAL_CHANGED) from None
            if seal is None:
                return
            yield seal

    def _verify(self, walk: _Walk, seal: Seal) -> None:
        if seal.number != walk.number + 1:
            raise _wrong(walk, Wrong.SEAL_REMOVED)
        expected = walk.coverage.after(seal.ids, seal.at)
        leaves = seal.leaf_hashes()
        is_whole = (
            seal.previous == walk.hash
            and seal.hash == hash_of(seal)
            and seal.total == walk.total + ranges.size_of(seal.ids)
            and len(leaves) == ranges.size_of(seal.ids)
            and seal.coverage() == expected
            and _is_open(walk.coverage, seal.ids)
        )
        first = seal.ids[0][0] if seal.ids else None
        if not is_whole:
            raise _wrong(walk, Wrong.SEAL_CHANGED, event=first)
        with self._database.reading() as tx:
            self._verify_events(walk, seal, leaves, tx)
            self._verify_nothing_was_added(walk, seal, expected, tx)
        if seal.root != root_of(leaves):
            raise _wrong(walk, Wrong.SEAL_CHANGED, event=first)
        self._verify_heads(walk, seal)
        walk.number, walk.hash, walk.total = seal.number, seal.hash, seal.total
        walk.coverage = expected

    def _verify_events(
        self, walk: _Walk, seal: Seal, leaves: Sequence[bytes], tx: Transaction
    ) -> None:
        found = (one for part in seal.ids for one in tx.trail.within(part))
        expected = (id_ for first, last in seal.ids for id_ in range(first, last + 1))
        for id_, leaf in zip(expected, leaves, strict=True):
            event = next(found, None)
            if event is None or event[0] != id_:
                raise _wrong(walk, Wrong.REMOVED, event=id_)
            if _leaf(event[1]) != leaf:
                belongs = _place_of(event[1], _by_leaf(seal, leaves))
                wrong = Wrong.CHANGED if belongs is None else Wrong.MOVED
                raise _wrong(walk, wrong, event=id_, belongs=belongs)

    def _verify_nothing_was_added(
        self, walk: _Walk, seal: Seal, now: Coverage, tx: Transaction
    ) -> None:
        """Look for events where this seal says that there are none, and never will be."""
        open_before = [hole.ids for hole in walk.coverage.holes]
        if seal.highest > walk.coverage.highest:
            open_before.append((walk.coverage.highest + 1, seal.highest))
        closed = ranges.without(open_before, seal.ids)
        closed = ranges.without(closed, sorted(hole.ids for hole in now.holes))
        if walk.number == 0:
            closed.insert(0, (-(2**63), 0))
        for part in closed:
            event = next(iter(tx.trail.within(part)), None)
            if event is not None:
                raise _wrong(walk, Wrong.ADDED, event=event[0])

    def _verify_heads(self, walk: _Walk, seal: Seal) -> None:
        for head in list(walk.heads):
            if head.hash == seal.hash and head.number in (None, seal.number):
                walk.heads.remove(head)
                walk.proved = seal.highest
            elif head.number == seal.number:
                raise _wrong(walk, Wrong.HEAD_UNKNOWN)

    def _verify_heads_are_reached(self, walk: _Walk) -> None:
        if walk.heads:
            raise _wrong(walk, Wrong.HEAD_UNKNOWN)


def _wrong(
    walk: _Walk, wrong: Wrong, *, event: int | None = None, belongs: int | None = None
) -> _WrongError:
    return _WrongError(
        Finding(
            wrong=wrong,
            seal=walk.number + 1,
            event=event,
            belongs=belongs,
            sealed_up_to=walk.proved,
        )
    )


def _is_open(before: Coverage, ids: Sequence[Range]) -> bool:
    """Return whether all these ids could still be sealed."""
    places = [hole.ids for hole in before.holes] + [(before.highest + 1, 2**63 - 1)]
    return not ranges.without(ids, places)


def _leaf(facts: Facts) -> bytes | None:
    try:
        return leaf_of(facts)
    except (TypeError, ValueError):
        # Only somebody who is not us writes what cannot be hashed.
        return None


def _by_leaf(seal: Seal, leaves: Sequence[bytes]) -> Mapping[bytes, int]:
    ids = (id_ for first, last in seal.ids for id_ in range(first, last + 1))
    return dict(zip(leaves, ids, strict=True))


def _place_of(facts: Facts, sealed: Mapping[bytes, int]) -> int | None:
    """Return the id under which this very event was sealed, if it was sealed under another one."""
    for leaf, id_ in sealed.items():
        if _leaf((id_, *facts[1:])) == leaf:
            return id_
    return None
