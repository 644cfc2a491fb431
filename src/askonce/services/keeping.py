"""Writes what was paid for, all or nothing: answer, cache entry, history row, the attempt's end."""

from datetime import datetime, timedelta

from askonce.core.attempts import Attempt, Outcome
from askonce.core.caching import is_worth_keeping
from askonce.core.erasure import is_erased
from askonce.core.flights import FlightState, Seen
from askonce.core.landings import Landed, Way
from askonce.core.ports import Transaction
from askonce.core.purchases import Purchase
from askonce.services.booking import asked, settle, settle_locked
from askonce.services.giving import give_paid, given_before, replay
from askonce.services.repair import mended, together


def keep(
    tx: Transaction, purchase: Purchase, *, cache_ttl: timedelta, now: datetime
) -> Landed | None:
    """Keep an answer that its own leader brings.

    None where the asker's key was answered meanwhile by another flight, the asker's place in a
    session is taken or gone, or the asker was erased: all look it up again.
    """
    seen = _locked(tx, purchase)
    attempt = tx.attempts.locked(purchase.attempt_id)
    bought = None if attempt is None else attempt.answer_id
    if bought is not None:
        # Our commit went through the first time; only its acknowledgement was lost.
        return Landed(answer_id=bought, paid=given_before(tx, purchase.asker, bought))
    standing = _standing(seen, purchase)
    if standing is not None:
        # Another leader of this epoch was quicker.
        _settle(tx, attempt, purchase, Outcome.DUPLICATE, now)
        return Landed(answer_id=standing)
    answer, asker, lease = purchase.answer, purchase.asker, purchase.lease
    if _is_erased(tx, attempt, purchase) or replay(tx, asker, now) is not None:
        # What was erased must not come back, not even for others, who ask anew. A second history
        # row for one key must not be, nor a reply in a thread that has gone on; and what would be
        # an answer that nobody was given could never be deleted.
        _settle(tx, attempt, purchase, Outcome.DUPLICATE, now)
        if purchase.has_lease:
            tx.flights.fail(lease, failure=None)
        return None
    kept = tx.answers.keep(
        purchase.question,
        answer if purchase.spent is None else together(answer, purchase.spent),
        tenant=asker.tenant,
        fingerprint=lease.fingerprint,
        at=purchase.at,
    )
    answer_id = kept.id or 0
    may_keep = purchase.is_kept and is_worth_keeping(purchase.question, answer)
    has_landed = purchase.has_lease and tx.flights.land(
        lease,
        answer_id=answer_id,
        stored_at=purchase.at,
        expires_at=purchase.at + cache_ttl if may_keep else purchase.at,
    )
    _settle(tx, attempt, purchase, Outcome.ANSWERED, now, answer_id=answer_id)
    paid = give_paid(tx, asker, purchase.question, kept, at=now)
    if paid is not None:
        tx.book(asked(asker, paid, Way.MISS if purchase.is_kept else Way.BYPASS, at=now))
    return Landed(answer_id=answer_id, paid=paid, is_kept=has_landed and may_keep)


def adopt(
    tx: Transaction, purchase: Purchase, *, cache_ttl: timedelta, now: datetime
) -> Outcome | None:
    """Keep an answer that was left behind, and return how its attempt ends; None: not ours.

    It is kept only while its epoch is open. What came later may have been a deletion, and what
    was deleted must not come back: the answer is then written down as paid for, without its text.
    """
    seen = _locked(tx, purchase)
    outcome = tx.attempts.outcome(purchase.attempt_id, purchase.lease, owner=purchase.owner)
    if outcome not in (Outcome.OPEN, Outcome.UNKNOWN):
        return outcome
    is_over = purchase.has_lease and (seen is None or seen.epoch != purchase.lease.epoch)
    attempt = tx.attempts.locked(purchase.attempt_id)
    if is_over or _is_erased(tx, attempt, purchase) or _standing(seen, purchase) is not None:
        _settle(tx, attempt, purchase, Outcome.DUPLICATE, now)
        return Outcome.DUPLICATE
    if mended(purchase.question, purchase.answer) is None:
        refuse(tx, purchase, now=now)
        return Outcome.INVALID
    kept = keep(tx, purchase, cache_ttl=cache_ttl, now=now)
    return Outcome.DUPLICATE if kept is None else Outcome.ANSWERED


def refuse(tx: Transaction, purchase: Purchase, *, now: datetime) -> None:
    """Write that an answer was paid for which cannot be given."""
    settle(
        tx,
        purchase.attempt_id,
        Outcome.INVALID,
        at=purchase.at,
        now=now,
        answer=purchase.answer,
    )


def _is_erased(tx: Transaction, attempt: Attempt | None, purchase: Purchase) -> bool:
    """Return whether the asker was erased after the call began.

    Eras are forgotten after a day. What comes home later than that is known by its attempt.
    """
    is_anonymous = attempt is not None and attempt.is_anonymous
    return is_anonymous or is_erased(tx.erasures, purchase.asker)


def _locked(tx: Transaction, purchase: Purchase) -> Seen | None:
    return tx.flights.locked(purchase.lease.fingerprint) if purchase.has_lease else None


def _standing(seen: Seen | None, purchase: Purchase) -> int | None:
    """Return the answer that this epoch has already, if it has one."""
    if seen is None or seen.epoch != purchase.lease.epoch or seen.state is not FlightState.DONE:
        return None
    return seen.answer_id


def _settle(
    tx: Transaction,
    attempt: Attempt | None,
    purchase: Purchase,
    outcome: Outcome,
    now: datetime,
    *,
    answer_id: int | None = None,
) -> None:
    if attempt is None:
        return
    settle_locked(
        tx,
        attempt,
        outcome,
        at=purchase.at,
        now=now,
        answer=purchase.answer,
        answer_id=answer_id,
    )
