"""Gives out everything that is held about a user."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from askonce.core.access import Caller
from askonce.core.clock import Clock
from askonce.core.conversations import Message, Session
from askonce.core.events import Action
from askonce.core.exports import Held
from askonce.core.ports import Database, Transaction
from askonce.services.booking import Reads

H = TypeVar("H", bound=Held)


class Exports:
    """Exports users."""

    def __init__(self, *, database: Database, reads: Reads, clock: Clock) -> None:
        self._database = database
        self._reads = reads
        self._clock = clock

    def begin(self, caller: Caller, user_id: str) -> tuple[datetime, Iterator[Sequence[Held]]]:
        """Return when the export began, and everything in portions of a megabyte or so.

        Each portion is read in a transaction of its own, which has ended before the portion is
        given out: whoever reads slowly holds nothing but that portion. It is no snapshot, what
        changes meanwhile may be in it or not.

        Raises:
            DatabaseUnavailableError: the database did not answer in time.
        """
        portions = self._portions(caller.tenant, user_id)
        # Read before anything is sent: a database that is away is an answer of its own.
        first = next(portions)
        self._reads.book(caller, Action.USER_EXPORT, user_id=user_id)
        return self._clock.now(), _chained(first, portions)

    def _portions(self, tenant: str, user_id: str) -> Iterator[Sequence[Held]]:
        with self._database.reading() as tx:
            preferences = tx.exports.preferences(tenant, user_id)
            budgets = tx.exports.budgets(tenant, user_id)
        yield [*preferences, *budgets]
        yield from self._all(
            lambda tx, after: tx.exports.analyses(tenant, user_id, after=after), _id, 0
        )
        for sessions in self._all(
            lambda tx, after: tx.exports.sessions(tenant, user_id, after=after), _id, 0
        ):
            for session in sessions:
                yield [session]
                yield from self._all(_messages_of(session), _id, 0)
        yield from self._all(
            lambda tx, after: tx.exports.calls(tenant, user_id, after=after), _id, 0
        )
        yield from self._all(
            lambda tx, after: tx.exports.usage(tenant, user_id, after=after),
            lambda usage: usage.day,
            date.min,
        )
        yield from self._all(
            lambda tx, after: tx.exports.keys(tenant, user_id, after=after),
            lambda key: key.scope,
            b"",
        )
        yield from self._all(
            lambda tx, after: tx.exports.batch_lines(tenant, user_id, after=after), _id, 0
        )

    def _all(
        self,
        read: Callable[[Transaction, Any], Sequence[H]],
        place: Callable[[H], Any],
        start: object,
    ) -> Iterator[Sequence[H]]:
        after = start
        while True:
            with self._database.reading() as tx:
                portion = read(tx, after)
            if not portion:
                return
            yield portion
            after = place(portion[-1])


def _messages_of(session: Session) -> Callable[[Transaction, Any], Sequence[Message]]:
    return lambda tx, after: tx.exports.messages(session, after=after)


def _id(held: Any) -> int:
    return int(held.id)


def _chained(first: Sequence[Held], others: Iterator[Sequence[Held]]) -> Iterator[Sequence[Held]]:
    yield first
    yield from others
