"""Events that tests write, and the hands of somebody who may write to the database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, text

from askonce.core.events import Action, Event
from askonce.core.seals import Seal
from askonce.db.database import SqlDatabase
from askonce.db.ledger import GroupCommitLedger
from askonce.services.sealing import Sealing
from askonce.services.verifying import Finding, Head, Verdict, Verification
from tests.examples import NOW
from tests.fakes.clock import FakeClock


def an_event(**changes: Any) -> Event:
    """Return a hit of Alice's."""
    facts: dict[str, Any] = {
        "at": NOW,
        "tenant": "default",
        "action": Action.ANALYZE,
        "outcome": "hit",
        "user_id": "alice",
        "key_id": 3,
        "request_id": "r-1",
        "provider": "claude",
        "model": "claude-haiku-5-5",
        "tokens_in": 120,
        "tokens_out": 23,
        "digest": "ab" * 32,
        "about": {"analysis": 41, "answer": 7},
    }
    return Event(**facts | changes)


def book(database: SqlDatabase, *events: Event) -> None:
    with database.transaction() as tx:
        for event in events:
            tx.book(event)


class Trail:
    """A trail in a database, with what seals and what verifies it."""

    def __init__(self, database: SqlDatabase) -> None:
        self.database = database
        self.clock = FakeClock(NOW)
        self._ledger = GroupCommitLedger(database)
        self._sealing = Sealing(database=database, ledger=self._ledger, clock=self.clock)

    def close(self) -> None:
        self._ledger.close()

    def book(self, count: int) -> None:
        """Write events, each by another request."""
        book(self.database, *(an_event(request_id=f"r-{number}") for number in range(count)))

    def seal(self) -> Seal:
        seal = self._sealing.seal()
        assert seal is not None
        return seal

    def verify(self, *heads: str) -> Verdict:
        return Verification(self.database).run([Head.read(head) for head in heads])

    def found(self, *heads: str) -> Finding:
        finding = self.verify(*heads).finding
        assert finding is not None
        return finding

    @contextmanager
    def attacked(self) -> Iterator[Connection]:
        """Write past the product, and past the triggers too."""
        with self.database.transaction() as tx:
            let_write(tx.connection)
            yield tx.connection

    def run(self, *statements: str, **facts: Any) -> None:
        with self.attacked() as connection:
            for statement in statements:
                connection.execute(text(statement), facts)


def let_write(connection: Connection) -> None:
    """Take the triggers off that keep the trail append-only."""
    for table in ("audit_events", "audit_seals"):
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
            continue
        for event in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_no_{event}"))
