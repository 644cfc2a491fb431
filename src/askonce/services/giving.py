"""Gives users answers: the history row, and what their idempotency keys make of it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from askonce.core.access import Asker
from askonce.core.answers import Analysis
from askonce.core.clock import Clock
from askonce.core.errors import DeletedError, IdempotencyMismatchError
from askonce.core.idempotency import Repeat
from askonce.core.landings import Asked, Way
from askonce.core.ports import Gift, Kept, Transaction
from askonce.core.requests import Request

# What a transaction gives: an outcome, a repeat that cannot be answered, or nothing.
Given = Asked | Repeat | None


W = TypeVar("W", Request, Gift)


def outcome(given: Asked | Repeat) -> Asked:
    """Return what a transaction gave.

    Raises:
        IdempotencyMismatchError, DeletedError: it gave nothing that can be answered. They are
            raised out here, since an error inside would undo the batch of all others.
    """
    match given:
        case Repeat.MISMATCH:
            raise IdempotencyMismatchError
        case Repeat.DELETED:
            raise DeletedError
        case _:
            return given


def replay(tx: Transaction, asker: Asker, at: datetime) -> Given:
    """Return what the asker's key was answered with before, if it has one and it was."""
    if asker.key is None:
        return None
    before = tx.idempotency_keys.begin(asker.key, asker, at=at)
    return Asked(analysis=before, way=Way.REPLAY) if isinstance(before, Analysis) else before


class Giver:
    """Gives many askers what they asked for in one transaction."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def recall(self, tx: Transaction, requests: Sequence[Request]) -> Sequence[Given]:
        """Give each asker an accepted cache entry; None, and no row, without one."""
        now = self._clock.now()

        def recall(some: Sequence[Request]) -> Sequence[Asked | None]:
            return [_hit(kept) for kept in tx.flights.recall(some, at=now)]

        return _given(tx, requests, recall, now)

    def share(self, tx: Transaction, gifts: Sequence[Gift]) -> Sequence[Given]:
        """Give each asker who waited the answer that another request paid; None: deleted."""
        now = self._clock.now()

        def share(some: Sequence[Gift]) -> Sequence[Asked | None]:
            return [
                None if analysis is None else Asked(analysis=analysis, way=Way.COLLAPSED)
                for analysis in tx.analyses.share(some, at=now)
            ]

        return _given(tx, gifts, share, now)


def settle(tx: Transaction, asker: Asker, analysis: Analysis) -> None:
    """Let the asker's key, if there is one, stand for this analysis from now on."""
    if asker.key is not None:
        tx.idempotency_keys.settle(asker.key, analysis.id)


def _given(
    tx: Transaction,
    wanted: Sequence[W],
    give: Callable[[Sequence[W]], Sequence[Asked | None]],
    now: datetime,
) -> Sequence[Given]:
    """Give all at once to those without an idempotency key, and one by one to the others.

    Of two requests with one key, the second must see what the first was given.
    """
    plain = [one for one in wanted if one.asker.key is None]
    given = iter(give(plain) if plain else ())
    return [
        next(given) if one.asker.key is None else _given_once(tx, one, give, now) for one in wanted
    ]


def _given_once(
    tx: Transaction,
    wanted: W,
    give: Callable[[Sequence[W]], Sequence[Asked | None]],
    now: datetime,
) -> Given:
    repeated = replay(tx, wanted.asker, now)
    if repeated is not None:
        return repeated
    (given,) = give([wanted])
    if given is not None:
        settle(tx, wanted.asker, given.analysis)
    return given


def _hit(kept: Kept | None) -> Asked | None:
    if kept is None:
        return None
    return Asked(
        analysis=kept.analysis,
        way=Way.HIT,
        stored_at=kept.stored_at,
        expires_at=kept.expires_at,
    )
