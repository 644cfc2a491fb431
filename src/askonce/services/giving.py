"""Gives users answers: the history row, and what their idempotency keys make of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from askonce.core.access import Asker
from askonce.core.answers import Analysis, Answer
from askonce.core.clock import Clock
from askonce.core.conversations import Message, Role, Turn
from askonce.core.erasure import erased_of
from askonce.core.errors import (
    ConflictError,
    DeletedError,
    ErasedError,
    IdempotencyMismatchError,
    NotFoundError,
    RateLimitedError,
)
from askonce.core.idempotency import Repeat
from askonce.core.landings import Asked, Way
from askonce.core.limits import Quotas
from askonce.core.ports import Gift, Kept, Transaction
from askonce.core.questions import Question
from askonce.core.requests import Request, Visit
from askonce.services.booking import asked
from askonce.services.rate_limits import RateLimits

# What a transaction gives: an outcome, a repeat or a request that cannot be answered, or nothing.
Given = Asked | Repeat | RateLimitedError | None


@dataclass(frozen=True, slots=True)
class Recalled:
    """What a request was given without a call, and what is left of the quotas that it counts for.

    There are no quotas where nothing limits it. Where nothing was given, `era` is the one that the
    asker's user is in.
    """

    given: Given
    quotas: Quotas = ()
    era: int | None = None


W = TypeVar("W", Request, Gift)


def outcome(given: Asked | Repeat | RateLimitedError) -> Asked:
    """Return what a transaction gave.

    Raises:
        IdempotencyMismatchError, DeletedError, NotFoundError, ConflictError, ErasedError,
            RateLimitedError: it gave nothing that can be answered. They are raised out here, since
            an error inside would undo the batch of all others.
    """
    match given:
        case Repeat.MISMATCH:
            raise IdempotencyMismatchError
        case Repeat.DELETED:
            raise DeletedError
        case Repeat.GONE:
            raise NotFoundError
        case Repeat.MOVED_ON:
            raise ConflictError
        case Repeat.ERASED:
            raise ErasedError
        case RateLimitedError():
            raise given
        case _:
            return given


def replay(tx: Transaction, asker: Asker, at: datetime) -> Given:
    """Return what the asker was given before, if that can be known, and why nothing can be given.

    Whoever has an idempotency key is given once for each, and a place in a session is taken once.
    """
    if asker.key is not None:
        before = tx.idempotency_keys.begin(asker.key, asker, at=at)
        if isinstance(before, Analysis | Message):
            return Asked(given=before, way=Way.REPLAY)
        if isinstance(before, Repeat):
            return before
    return None if asker.turn is None else _in_place(tx, asker.tenant, asker.turn)


class Giver:
    """Gives many askers what they asked for in one transaction."""

    def __init__(self, clock: Clock, limits: RateLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits

    def admit(self, tx: Transaction, requests: Sequence[Request | Visit]) -> Sequence[Recalled]:
        """Count requests, and give those that are admitted what can be given without a call.

        All of a batch are counted by one statement, whatever they ask.
        """
        assert self._limits is not None  # noqa: S101 - by who asks
        admissions = self._limits.admit(tx, [request.counted_for for request in requests])
        given = iter(
            self._recalled(
                tx,
                [
                    request
                    for request, admission in zip(requests, admissions, strict=True)
                    if isinstance(request, Request) and not isinstance(admission, RateLimitedError)
                ],
            )
        )
        recalled = []
        for request, admission in zip(requests, admissions, strict=True):
            if isinstance(admission, RateLimitedError):
                recalled.append(Recalled(admission))
            else:
                is_asking = isinstance(request, Request)
                found = next(given) if is_asking else Recalled(None)
                recalled.append(Recalled(found.given, admission, found.era))
        return recalled

    def recall(self, tx: Transaction, requests: Sequence[Request]) -> Sequence[Recalled]:
        """Give each asker an accepted cache entry; None, and no row, without one."""
        return self._recalled(tx, requests)

    def repeat(self, tx: Transaction, asker: Asker) -> Recalled:
        """Give an asker only what was given before, as `replay` does, and book it."""
        now = self._clock.now()
        given = Repeat.ERASED if erased_of(tx.erasures, [asker]) else replay(tx, asker, now)
        return _with_eras(tx, [asker], [_booked(tx, asker, given, now)])[0]

    def share(self, tx: Transaction, gifts: Sequence[Gift]) -> Sequence[Given]:
        """Give each asker who waited the answer that another request paid; None: deleted."""
        now = self._clock.now()

        def share(some: Sequence[Gift]) -> Sequence[Asked | None]:
            if some[0].asker.turn is not None:
                return [_shared(tx, one, now) for one in some]
            return [
                None if analysis is None else Asked(given=analysis, way=Way.COLLAPSED)
                for analysis in tx.analyses.share(some, at=now)
            ]

        return _given(tx, gifts, share, now)

    def _recalled(self, tx: Transaction, requests: Sequence[Request]) -> Sequence[Recalled]:
        now = self._clock.now()

        def recall(some: Sequence[Request]) -> Sequence[Asked | None]:
            if some[0].asker.turn is not None:
                return [_recalled(tx, one, now) for one in some]
            return [_hit(kept) for kept in tx.flights.recall(some, at=now)]

        given = _given(tx, requests, recall, now)
        return _with_eras(tx, [one.asker for one in requests], given)


def give(
    tx: Transaction, asker: Asker, answer_id: int, *, cached: bool, at: datetime
) -> Analysis | Message | None:
    """Write that an asker was given an answer, once for its key; None where it cannot be given."""
    given: Analysis | Message | None
    if asker.turn is None:
        given = tx.analyses.add(asker, answer_id, cached=cached, at=at)
    else:
        given = tx.messages.give(asker.tenant, asker.turn, answer_id, cached=cached, at=at)
    if given is not None:
        _settle(tx, asker, given)
    return given


def give_paid(
    tx: Transaction, asker: Asker, question: Question, answer: Answer, *, at: datetime
) -> Analysis | Message | None:
    """Write what `give` does with an answer that was kept in this very transaction."""
    if asker.turn is not None:
        return give(tx, asker, answer.id or 0, cached=False, at=at)
    given = tx.analyses.add_paid(asker, question, answer, at=at)
    _settle(tx, asker, given)
    return given


def given_before(tx: Transaction, asker: Asker, answer_id: int) -> Analysis | Message | None:
    """Return what `give` wrote with this answer."""
    if asker.turn is None:
        return tx.analyses.given(asker, answer_id)
    return tx.messages.given(asker.tenant, asker.turn)


def _settle(tx: Transaction, asker: Asker, given: Analysis | Message) -> None:
    """Let the asker's key, if there is one, stand for this from now on."""
    if asker.key is not None:
        tx.idempotency_keys.settle(asker.key, given)


def _in_place(tx: Transaction, tenant: str, turn: Turn) -> Given:
    """Return what a model has said in a place already, and why it cannot say it any more."""
    newest = tx.messages.end_of(tenant, turn.session_id)
    if newest is None:
        return Repeat.GONE
    given = None if turn.is_anew else tx.messages.given(tenant, turn)
    if given is not None and given.answer is not None:
        return Asked(given=given, way=Way.REPLAY)
    if turn.role is Role.ASSISTANT and turn.position != newest:
        return Repeat.MOVED_ON
    return None


def _recalled(tx: Transaction, request: Request, now: datetime) -> Asked | None:
    """Say an accepted cache entry in a session."""
    asker = request.asker
    entry = tx.flights.entry(
        request.fingerprint, tenant=asker.tenant, accepted=request.rules.accepted(now)
    )
    if entry is None:
        return None
    given = give(tx, asker, entry.answer_id, cached=True, at=now)
    if given is None:
        return None
    return Asked(given=given, way=Way.HIT, stored_at=entry.stored_at, expires_at=entry.expires_at)


def _shared(tx: Transaction, gift: Gift, now: datetime) -> Asked | None:
    """Say in a session what another request has paid for."""
    given = give(tx, gift.asker, gift.answer_id, cached=True, at=now)
    return None if given is None else Asked(given=given, way=Way.COLLAPSED)


def _given(
    tx: Transaction,
    wanted: Sequence[W],
    give: Callable[[Sequence[W]], Sequence[Asked | None]],
    now: datetime,
) -> Sequence[Given]:
    """Give all at once to those without an idempotency key, and one by one to the others.

    Of two requests with one key, the second must see what the first was given; so must those who
    speak in sessions.
    """
    erased = erased_of(tx.erasures, [one.asker for one in wanted])
    if erased:
        others = iter(_given(tx, [one for one in wanted if one.asker not in erased], give, now))
        return [Repeat.ERASED if one.asker in erased else next(others) for one in wanted]
    plain = [one for one in wanted if one.asker.is_plain]
    given = iter(give(plain) if plain else ())
    return [
        _booked(
            tx,
            one.asker,
            next(given) if one.asker.is_plain else _given_once(tx, one, give, now),
            now,
        )
        for one in wanted
    ]


def _with_eras(
    tx: Transaction, askers: Sequence[Asker], given: Sequence[Given]
) -> Sequence[Recalled]:
    """Note the eras of those who were given nothing: what they wait for must not outlive them."""
    missed = [asker for asker, one in zip(askers, given, strict=True) if one is None]
    eras = iter(tx.erasures.eras(missed) if missed else ())
    return [Recalled(one) if one is not None else Recalled(None, era=next(eras)) for one in given]


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
        _settle(tx, wanted.asker, given.given)
    return given


def _booked(tx: Transaction, asker: Asker, given: Given, at: datetime) -> Given:
    """Book what somebody is given without a call."""
    if isinstance(given, Asked):
        tx.book(asked(asker, given.given, given.way, at=at))
    return given


def _hit(kept: Kept | None) -> Asked | None:
    if kept is None:
        return None
    return Asked(
        given=kept.analysis,
        way=Way.HIT,
        stored_at=kept.stored_at,
        expires_at=kept.expires_at,
    )
