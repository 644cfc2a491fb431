"""Conversations: beginning, listing, reading, renaming, bringing in, taking out, deleting."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from askonce.core.access import Asker, Caller
from askonce.core.clock import Clock
from askonce.core.conversations import Message, NewSession, Role, Session, Spoken
from askonce.core.errors import (
    DeletedError,
    ForbiddenError,
    IdempotencyMismatchError,
    NotFoundError,
)
from askonce.core.events import Action, Event
from askonce.core.idempotency import IdempotencyKey, Repeat
from askonce.core.ports import Database, Ledger, Transaction
from askonce.core.preferences import Wishes
from askonce.core.stores import SessionFilter
from askonce.services.booking import Reads, done
from askonce.services.defaults import Defaults

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """Some sessions; `is_last` says that there are no more."""

    items: Sequence[Session]
    is_last: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A session with some of its messages; `before_id` is where the next page of them starts."""

    session: Session
    messages: Sequence[Message]
    before_id: int | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """A conversation that was begun, now or by the same request before."""

    opened: Opened
    is_replayed: bool = False


class Conversations:
    """What users do with conversations, but for talking."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        defaults: Defaults,
        reads: Reads,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._defaults = defaults
        self._reads = reads
        self._clock = clock

    def begin(
        self,
        caller: Caller,
        new: NewSession,
        prompt: str | None,
        *,
        key: IdempotencyKey | None = None,
    ) -> Begun:
        """Begin a conversation; a prompt is its first message, which is not answered yet.

        Raises:
            ForbiddenError: the caller does not reach that user.
            UnknownProviderError, InvalidFieldsError: provider or model cannot be used.
            IdempotencyMismatchError, DeletedError: the key cannot be used.
        """
        asker = Asker.of(caller, new.user_id)
        self._defaults.chosen(Wishes(provider=new.provider, model=new.model))
        at = self._clock.now()

        def begin(tx: Transaction) -> Begun | Repeat:
            if key is not None:
                before = tx.idempotency_keys.begin(key, asker, at=at)
                if isinstance(before, Repeat):
                    return before
                if isinstance(before, Session):
                    tx.book(_done(caller, Action.SESSION_READ, before, at))
                    return Begun(_as_begun(tx, before), is_replayed=True)
            session = tx.sessions.add(caller, new, at=at)
            tx.book(_done(caller, Action.SESSION_CREATE, session, at))
            said = None if prompt is None else tx.messages.say(session, prompt, at=at)
            if key is not None:
                tx.idempotency_keys.settle(key, session)
            if said is None:
                return Begun(Opened(session=session, messages=()))
            return Begun(Opened(session=replace(session, messages=1), messages=[said]))

        begun = self._ledger.write(begin).result()
        match begun:
            case Repeat.MISMATCH:
                raise IdempotencyMismatchError
            case Repeat():
                raise DeletedError
            case Begun():
                return begun

    def newest(self, caller: Caller, wanted: SessionFilter) -> SessionPage:
        """Return one keyset page of sessions, the most recently updated first.

        Raises:
            ForbiddenError: the caller does not reach the user that is wanted.
        """
        if wanted.user_id is not None and not caller.reaches(wanted.user_id):
            raise ForbiddenError
        with self._database.reading() as tx:
            found = tx.sessions.newest(caller, replace(wanted, limit=wanted.limit + 1))
        items = found[: wanted.limit]
        self._reads.book(caller, Action.SESSION_READ, user_id=wanted.user_id, sessions=len(items))
        return SessionPage(items=items, is_last=len(found) <= wanted.limit)

    def one(self, caller: Caller, session_id: int, *, limit: int, before_id: int | None) -> Opened:
        """Return a session with one page of its messages, the newest first.

        Raises:
            NotFoundError: there is none, or it is not the caller's.
        """
        with self._database.reading() as tx:
            session = tx.sessions.one(caller, session_id)
            if session is None:
                raise NotFoundError
            found = tx.messages.newest(caller, session_id, limit=limit + 1, before_id=before_id)
        items = found[:limit]
        self._reads.book(
            caller,
            Action.SESSION_READ,
            user_id=session.user_id,
            session=session_id,
            messages=len(items),
        )
        return Opened(
            session=session,
            messages=items,
            before_id=items[-1].id if len(found) > limit else None,
        )

    def change(self, caller: Caller, session_id: int, changes: Mapping[str, str | None]) -> Session:
        """Change a session's title, or what its next turns are asked with; None is open again.

        Another provider has other models, so that a new one alone leaves the model open.

        Raises:
            NotFoundError: there is none, or it is not the caller's.
            UnknownProviderError, InvalidFieldsError: provider or model cannot be used.
        """
        with self._database.reading() as tx:
            session = tx.sessions.one(caller, session_id)
        if session is None:
            raise NotFoundError
        if "provider" in changes:
            changes = {"model": None, **changes}
        provider = changes.get("provider", session.provider)
        self._defaults.chosen(Wishes(provider=provider, model=changes.get("model")))
        at = self._clock.now()

        def change(tx: Transaction) -> Session | None:
            changed = tx.sessions.change(caller, session_id, changes, at=at)
            if changed is not None:
                tx.book(_done(caller, Action.SESSION_CHANGE, changed, at))
            return changed

        changed = self._ledger.write(change).result()
        if changed is None:
            raise NotFoundError
        return changed

    def remove(self, caller: Caller, session_id: int) -> None:
        """Delete a session, its messages, and the answers that nobody else uses.

        Raises:
            NotFoundError: there is none, or it is not the caller's.
        """

        def remove(tx: Transaction) -> bool:
            session = tx.sessions.locked(caller, session_id)
            if session is None or not tx.sessions.remove(caller, session_id):
                return False
            tx.book(_done(caller, Action.SESSION_DELETE, session, self._clock.now()))
            return True

        if not self._ledger.write(remove).result():
            raise NotFoundError

    def taken_out(self, caller: Caller, session_id: int) -> Iterator[Spoken]:
        """Return everything that was said, oldest first, without the summaries.

        Read page by page, with no transaction in between: a thread may be larger than the memory.

        Raises:
            NotFoundError: there is none, or it is not the caller's.
        """
        with self._database.reading() as tx:
            session = tx.sessions.one(caller, session_id)
        if session is None:
            raise NotFoundError
        self._reads.book(
            caller,
            Action.SESSION_READ,
            user_id=session.user_id,
            session=session_id,
            messages=session.messages,
        )
        return self._said(session)

    def _said(self, session: Session) -> Iterator[Spoken]:
        first = 1
        while first <= session.messages:
            with self._database.reading() as tx:
                page = tx.messages.thread(session, first=first, last=session.messages, limit=_PAGE)
            if not page:
                return
            yield from (message.said() for message in page)
            first = page[-1].position + 1


def _done(caller: Caller, action: Action, session: Session, at: datetime) -> Event:
    return done(
        caller,
        action,
        at=at,
        user_id=session.user_id,
        session=session.id,
        messages=session.messages,
    )


def _as_begun(tx: Transaction, session: Session) -> Opened:
    """Return a session with its prompt, if it had one, as it was when it was begun."""
    first = tx.messages.thread(session, first=1, limit=1)
    prompt = [
        replace(message, is_answered=False)
        for message in first
        if message.role is Role.USER and message.created_at == session.created_at
    ]
    return Opened(
        session=replace(session, messages=len(prompt), updated_at=session.created_at),
        messages=prompt,
    )
