"""Summaries of whole sessions: made once, and again only when something was said since."""

from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from askonce.core.access import Asker, Caller
from askonce.core.caching import CacheRules
from askonce.core.clock import Clock
from askonce.core.conversations import Message, Session
from askonce.core.errors import FieldError, InvalidFieldsError, NotFoundError
from askonce.core.idempotency import IdempotencyKey, Repeat
from askonce.core.landings import Asked, Boarded, Way
from askonce.core.ports import Ledger, Transaction
from askonce.services.ask_once import AskOnce
from askonce.services.booking import asked
from askonce.services.contexts import Contexts, usable
from askonce.services.futures import already
from askonce.services.giving import outcome
from askonce.services.lane import Lane
from askonce.services.talks import Talks
from askonce.telemetry import traces


@dataclass(frozen=True, slots=True, kw_only=True)
class Summarising:
    """Somebody who wants a session summarised."""

    caller: Caller
    session_id: int
    rules: CacheRules
    key: IdempotencyKey | None = field(default=None, repr=False)
    is_streamed: bool = False


class Summaries:
    """Summarises sessions."""

    def __init__(
        self,
        *,
        ask_once: AskOnce,
        contexts: Contexts,
        talks: Talks,
        ledger: Ledger,
        lane: Lane,
        clock: Clock,
    ) -> None:
        self._ask_once = ask_once
        self._contexts = contexts
        self._talks = talks
        self._ledger = ledger
        self._lane = lane
        self._clock = clock

    def summarise(self, wanted: Summarising) -> "Future[Boarded]":
        """Return a future that resolves to where the summary will come from.

        It raises `NotFoundError`, `OverloadedError`, `InvalidFieldsError` where nothing was said
        yet, what `Defaults.chosen` raises, and as `AskOnce.board`.
        """
        boarding: Future[Boarded] = Future()

        def step() -> None:
            try:
                boarding.set_result(self._boarded(wanted))
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                boarding.set_exception(error)

        self._lane.submit(traces.here()(step))
        return boarding

    def _boarded(self, wanted: Summarising) -> Boarded:
        looked = self._ledger.write(lambda tx: self._look(tx, wanted)).result()
        if looked is None:
            raise NotFoundError
        session, given = looked
        if session.messages == 0:
            raise InvalidFieldsError(FieldError("messages", "there is nothing to summarise yet"))
        if given is not None:
            asked = self._ask_once.counted(outcome(given))
            return Boarded(asked=already(asked), way=asked.way)
        request = self._contexts.summary(
            self._talks.of(wanted.caller, session, wanted.rules),
            session.messages,
            key=wanted.key,
            is_streamed=wanted.is_streamed,
        )
        return self._ask_once.board(request).result()

    def _look(
        self, tx: Transaction, wanted: Summarising
    ) -> tuple[Session, Asked | Repeat | None] | None:
        """Return the session, with the summary that it has already of all its messages."""
        session = tx.sessions.locked(wanted.caller, wanted.session_id)
        if session is None:
            return None
        asker, now = Asker.of(wanted.caller, session.user_id), self._clock.now()
        if wanted.key is not None:
            before = tx.idempotency_keys.begin(wanted.key, asker, at=now)
            if isinstance(before, Repeat):
                return session, before
            if isinstance(before, Message):
                tx.book(asked(asker, before, Way.REPLAY, at=now))
                return session, Asked(given=before, way=Way.REPLAY)
        if wanted.rules.no_cache or wanted.rules.no_store:
            return session, None
        standing = [
            one
            for one in usable(tx.messages.summaries(session))
            if one.position == session.messages
        ]
        if not standing:
            return session, None
        if wanted.key is not None:
            tx.idempotency_keys.settle(wanted.key, standing[-1])
        tx.book(asked(asker, standing[-1], Way.HIT, at=now))
        # None of what it took was spent this time.
        return session, Asked(given=replace(standing[-1], cached=True), way=Way.HIT)
