"""Gives users answers: the history row, and what their idempotency keys make of it."""

from datetime import datetime

from askonce.core.access import Asker
from askonce.core.answers import Analysis
from askonce.core.caching import Accepted
from askonce.core.errors import DeletedError, IdempotencyMismatchError
from askonce.core.idempotency import Repeat
from askonce.core.landings import Asked, Way
from askonce.core.ports import Transaction

# What a transaction gives: an outcome, a repeat that cannot be answered, or nothing.
Given = Asked | Repeat | None


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


def recall(tx: Transaction, fingerprint: bytes, asker: Asker, accepted: Accepted) -> Given:
    """Give an asker an accepted cache entry; None, and no row, without one."""
    repeated = replay(tx, asker, accepted.now)
    if repeated is not None:
        return repeated
    kept = tx.flights.recall(fingerprint, asker, accepted)
    if kept is None:
        return None
    settle(tx, asker, kept.analysis)
    return Asked(
        analysis=kept.analysis,
        way=Way.HIT,
        stored_at=kept.stored_at,
        expires_at=kept.expires_at,
    )


def share(tx: Transaction, answer_id: int, asker: Asker, at: datetime) -> Given:
    """Give an asker who waited an answer that another request paid; None if it was deleted."""
    repeated = replay(tx, asker, at)
    if repeated is not None:
        return repeated
    analysis = tx.analyses.add(asker, answer_id, cached=True, at=at)
    if analysis is None:
        return None
    settle(tx, asker, analysis)
    return Asked(analysis=analysis, way=Way.COLLAPSED)


def settle(tx: Transaction, asker: Asker, analysis: Analysis) -> None:
    """Let the asker's key, if there is one, stand for this analysis from now on."""
    if asker.key is not None:
        tx.idempotency_keys.settle(asker.key, analysis.id)
