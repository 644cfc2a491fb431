"""Turns: a user says something, a model replies, and both stand in the session."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from askonce.core.access import Asker, Caller
from askonce.core.caching import CacheRules
from askonce.core.clock import Clock, Deadline
from askonce.core.context import Context
from askonce.core.conversations import Message, Role, Session, Turn
from askonce.core.errors import InputTooLongError, NotFoundError, OverloadedError
from askonce.core.events import Action
from askonce.core.flights import Lease
from askonce.core.idempotency import IdempotencyKey, Repeat
from askonce.core.landings import Asked, Way
from askonce.core.ports import Database, Ledger, Transaction
from askonce.core.preferences import Wishes
from askonce.core.questions import Question
from askonce.core.replies import REPLY_SCHEMA
from askonce.core.requests import Request
from askonce.core.tapes import Tape, follow
from askonce.services import booking
from askonce.services.ask_once import AskOnce
from askonce.services.contexts import Contexts
from askonce.services.conversations import Opened
from askonce.services.giving import outcome
from askonce.services.lane import Lane
from askonce.services.talks import Talk, Talks
from askonce.services.turnstile import Turnstile
from askonce.telemetry import traces

# A model whose tokeniser makes so much more of a text than we think is asked a few times.
_MOST_SHRINKS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """Something that is said in a session. Without `is_asking` no model is to reply."""

    caller: Caller
    session_id: int
    content: str = field(repr=False)
    wishes: Wishes
    rules: CacheRules
    key: IdempotencyKey | None = field(default=None, repr=False)
    is_streamed: bool = False
    is_asking: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """A turn that was taken: the session as it stood then, with the messages of the turn."""

    asked: Asked
    opened: Opened

    @property
    def is_replayed(self) -> bool:
        """Whether the turn's key had it taken before."""
        return self.asked.way is Way.REPLAY


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardedTurn:
    """A turn on its way: what comes of it, where the reply comes from, what is said meanwhile."""

    took: "Future[Took]"
    way: Way
    tape: Tape | None = None


@dataclass(slots=True, kw_only=True)
class _Turn:
    """A turn while it is taken."""

    saying: Saying
    boarded: "Future[BoardedTurn]" = field(default_factory=Future)
    took: "Future[Took]" = field(default_factory=Future)
    tape: Tape = field(default_factory=Tape)
    lease: Lease | None = None
    shrinks: int = 0
    context: Context | None = None
    traced: Callable[[Callable[[], None]], Callable[[], None]] = field(default_factory=traces.here)

    def fail(self, error: BaseException) -> None:
        future: Future[BoardedTurn] | Future[Took]
        future = self.took if self.boarded.done() else self.boarded
        future.set_exception(error)
        self.tape.end()


@dataclass(frozen=True, slots=True)
class _Said:
    """What a turn begins with: what was said; and what its key had been given, if it had."""

    session: Session
    message: Message
    given: Message | None = None


class Turns:
    """Takes turns in sessions."""

    def __init__(
        self,
        *,
        ask_once: AskOnce,
        contexts: Contexts,
        turnstile: Turnstile,
        talks: Talks,
        database: Database,
        ledger: Ledger,
        lane: Lane,
        clock: Clock,
        deadline_seconds: float,
    ) -> None:
        self._ask_once = ask_once
        self._contexts = contexts
        self._turnstile = turnstile
        self._talks = talks
        self._database = database
        self._ledger = ledger
        self._lane = lane
        self._clock = clock
        self._deadline_seconds = deadline_seconds

    def say(self, saying: Saying) -> "Future[BoardedTurn]":
        """Say something in a session, and have a model reply to it.

        The future resolves once it is known where the reply comes from; before that what was said
        is durable. It raises `NotFoundError`, `ConflictError`, `OverloadedError`, what
        `Defaults.chosen` raises, and as `AskOnce.board`. What was said is unanswered while no
        reply follows it: saying the same again has it answered, and does not repeat it.
        """
        turn = _Turn(saying=saying)
        deadline = Deadline.after(self._deadline_seconds, self._clock)
        self._step(turn, lambda: self._enter(turn, deadline), run=self._lane.submit)
        return turn.boarded

    def _enter(self, turn: _Turn, deadline: Deadline) -> None:
        saying = turn.saying
        with self._database.reading() as tx:
            session = tx.sessions.one(saying.caller, saying.session_id)
        if session is None:
            raise NotFoundError
        # Before anything is written: a turn that cannot be asked is not begun.
        self._talks.of(saying.caller, session, saying.rules, saying.wishes)

        def admitted(done: "Future[Lease]") -> None:
            error = done.exception()
            if error is not None:
                turn.fail(error)
                return
            turn.lease = lease = done.result()
            self._go_on(turn, lambda: self._take(turn, lease))

        entry = self._turnstile.enter(session.tenant, session.id, deadline)
        entry.add_done_callback(admitted)

    def _take(self, turn: _Turn, lease: Lease) -> None:
        begun = self._ledger.write(
            lambda tx: self._begun(tx, turn, lease), key=lease.fingerprint
        ).result()
        if isinstance(begun, Repeat):
            outcome(begun)
            return
        if begun.given is not None:
            replayed = Asked(given=begun.given, way=Way.REPLAY)
            self._finish(turn, self._ask_once.counted(replayed))
        elif not turn.saying.is_asking:
            self._finish(turn, Asked(given=begun.message, way=Way.MISS))
        else:
            saying = turn.saying
            talk = self._talks.of(saying.caller, begun.session, saying.rules, saying.wishes)
            self._ask(turn, talk, begun.message)

    def _begun(self, tx: Transaction, turn: _Turn, lease: Lease) -> _Said | Repeat:
        """Write what was said, unless it stands there already and waits for its reply."""
        saying, now = turn.saying, self._clock.now()
        if not tx.flights.holds(lease):
            return Repeat.MOVED_ON
        session = tx.sessions.locked(saying.caller, saying.session_id)
        if session is None:
            return Repeat.GONE
        if saying.key is not None:
            asker = Asker.of(saying.caller, session.user_id)
            before = tx.idempotency_keys.begin(saying.key, asker, at=now)
            if isinstance(before, Repeat):
                return before
            if isinstance(before, Message):
                again = self._again(tx, turn, session, before)
                if isinstance(again, _Said) and again.given is not None:
                    tx.book(booking.asked(asker, again.given, Way.REPLAY, at=now))
                return again
        waiting = _unanswered(tx, session) if saying.is_asking else None
        if waiting is None or waiting.content != saying.content:
            say = tx.messages.say if saying.is_asking else tx.messages.bring_in
            waiting = say(session, saying.content, at=now)
            action = Action.SESSION_SAY if saying.is_asking else Action.SESSION_IMPORT
            facts = {"session": session.id, "message": waiting.id}
            tx.book(booking.done(saying.caller, action, at=now, user_id=session.user_id, **facts))
        if saying.key is not None:
            tx.idempotency_keys.settle(saying.key, waiting)
        return _Said(session, waiting)

    def _again(
        self, tx: Transaction, turn: _Turn, session: Session, before: Message
    ) -> _Said | Repeat:
        """Return what a key stands for: with its reply, or with what is to be replied to."""
        if not turn.saying.is_asking:
            return _Said(session, before, before)
        reply = tx.messages.reply_to(session, before)
        if reply is not None:
            return _Said(session, before, reply)
        waiting = _unanswered(tx, session)
        return Repeat.MOVED_ON if waiting is None else _Said(session, waiting)

    def _ask(self, turn: _Turn, talk: Talk, message: Message) -> None:
        try:
            context = self._contexts.of(talk, message.position)
        except InputTooLongError as error:
            self._ask_less(turn, talk, message, error)
            return
        turn.context = context
        boarded = self._ask_once.board(
            Request.of(
                Question(
                    text=message.content,
                    provider=talk.chosen.provider,
                    model=talk.chosen.model,
                    max_output_tokens=talk.chosen.max_output_tokens,
                    instructions=talk.chosen.instructions,
                    output_schema=REPLY_SCHEMA,
                    fallbacks=talk.chosen.fallbacks,
                    messages=context.before_last(),
                ),
                Asker.of(
                    talk.caller,
                    talk.session.user_id,
                    turn=Turn(
                        session_id=talk.session.id,
                        position=message.position,
                        role=Role.ASSISTANT,
                        sent=len(context.verbatim),
                        summarised=0 if context.summary is None else context.summary.position,
                    ),
                ),
                talk.scope,
                rules=talk.rules,
                is_streamed=turn.saying.is_streamed,
            )
        ).result()
        if boarded.tape is not None:
            follow(boarded.tape, turn.tape)
        if not turn.boarded.done():
            tape = None if boarded.tape is None else turn.tape
            turn.boarded.set_result(BoardedTurn(took=turn.took, way=boarded.way, tape=tape))

        def on_asked(done: "Future[Asked]") -> None:
            error = done.exception()
            if isinstance(error, InputTooLongError):
                self._go_on(turn, lambda: self._ask_less(turn, talk, message, error))
            elif error is not None:
                self._give_up(turn, error)
            else:
                self._go_on(turn, lambda: self._finish(turn, done.result()))

        boarded.asked.add_done_callback(on_asked)

    def _ask_less(
        self, turn: _Turn, talk: Talk, message: Message, error: InputTooLongError
    ) -> None:
        """Ask again with more of the thread summarised, as our figures were too small."""
        turn.shrinks += 1
        shown = turn.context
        is_least = message.position == 1 or (shown is not None and len(shown.verbatim) == 1)
        if is_least or turn.shrinks > _MOST_SHRINKS:
            raise error
        self._ask(turn, talk.smaller(None if shown is None else shown.tokens), message)

    def _finish(self, turn: _Turn, asked: Asked) -> None:
        last = asked.message
        if asked.way is Way.REPLAY and turn.saying.key is None:
            # Somebody else's turn had put it there, after ours had begun.
            asked = replace(asked, way=Way.COLLAPSED)
        with self._database.reading() as tx:
            session = tx.sessions.one(turn.saying.caller, turn.saying.session_id)
            if session is None:
                raise NotFoundError
            is_reply = turn.saying.is_asking
            messages = tx.messages.around(session, last) if is_reply else [last]
        # As it stood then, so that a repeat is answered with the very same.
        then = replace(session, messages=last.position, updated_at=last.created_at)
        took = Took(asked=asked, opened=Opened(session=then, messages=messages))
        self._leave(turn)
        if not turn.boarded.done():
            turn.boarded.set_result(BoardedTurn(took=turn.took, way=asked.way))
        turn.took.set_result(took)
        turn.tape.end()

    def _give_up(self, turn: _Turn, error: BaseException) -> None:
        self._leave(turn)
        turn.fail(error)

    def _leave(self, turn: _Turn) -> None:
        lease, turn.lease = turn.lease, None
        if lease is not None:
            self._turnstile.leave(lease)

    def _go_on(self, turn: _Turn, step: Callable[[], None]) -> None:
        self._step(turn, step, run=self._lane.go_on)

    def _step(
        self, turn: _Turn, step: Callable[[], None], *, run: Callable[[Callable[[], None]], None]
    ) -> None:
        """Take a step of a turn in a thread that may wait; whatever it raises, ends the turn."""

        def guarded() -> None:
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                self._give_up(turn, error)

        try:
            run(turn.traced(guarded))
        except OverloadedError as error:
            self._give_up(turn, error)


def _unanswered(tx: Transaction, session: Session) -> Message | None:
    """Return the newest message, where a user said it and nobody has replied."""
    if session.messages <= session.replied:
        return None
    (newest,) = tx.messages.ending(session, last=session.messages, limit=1)
    return newest
