"""Reads the cache entries of a whole batch of questions with one statement.

What an answer says never changes, so it is remembered; that an entry stands, and with which answer,
is read each time. SQLite gives all of them as one row: its driver gives up the interpreter's lock
at every row, and would wait for the event loop each time.
"""

import json
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, bindparam, select

from askonce.core.caching import Accepted
from askonce.db.giving import ANSWER_COLUMNS, Said
from askonce.db.prepared import Prepared
from askonce.db.rows import AnswerRow

# Besides its texts, what is remembered of an answer takes as much memory as so many characters.
_APART_FROM_TEXT = 800
# A fingerprint is a SHA-256.
_KEY_BYTES = 32
_IN_SQLITE = Prepared(
    f"""
    WITH RECURSIVE wanted (place) AS (
      SELECT 0 UNION ALL SELECT place + 1 FROM wanted WHERE place + 1 < :size
    )
    SELECT json_group_array(json_array(place, answers.id, digest, stored_at, expires_at))
    FROM wanted
    CROSS JOIN flights
      ON flights.fingerprint = substr(:keys, place * {_KEY_BYTES} + 1, {_KEY_BYTES})
    JOIN answers ON answers.id = answer_id AND answers.fingerprint = flights.fingerprint
    """  # noqa: S608 - nothing of it comes from outside
)
_IN_POSTGRESQL = Prepared(
    """
    SELECT place - 1, answers.id, digest, stored_at, expires_at
    FROM unnest(CAST(:keys AS bytea[])) WITH ORDINALITY AS wanted (fingerprint, place)
    JOIN flights USING (fingerprint)
    JOIN answers ON answers.id = answer_id AND answers.fingerprint = flights.fingerprint
    FOR KEY SHARE OF answers
    """
)
_SAID = select(AnswerRow.tenant, *ANSWER_COLUMNS).where(
    AnswerRow.id.in_(bindparam("answer_ids", expanding=True))
)

# SQLite numbers an answer anew whose transaction was undone: its digest has a salt, too.
_Name = tuple[int, str | None]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """An answer that stands for a question, whose tenant alone may be given it."""

    tenant: str
    said: Said
    stored_at: datetime
    expires_at: datetime

    def is_accepted(self, accepted: Accepted) -> bool:
        return accepted.allows(stored_at=self.stored_at, expires_at=self.expires_at)


class RememberedAnswers:
    """What answers of one database say, up to a bound of characters; the oldest go first."""

    def __init__(self, *, most_characters: int = 8_000_000) -> None:
        self._most = most_characters
        self._lock = threading.Lock()
        self._held = 0
        self._said: dict[_Name, tuple[str, Said]] = {}

    def of(self, connection: Connection, names: Iterable[_Name]) -> dict[_Name, tuple[str, Said]]:
        """Return what these answers say, and whose they are; they are read where that is new."""
        known = {name: self._said.get(name) for name in names}
        found = {name: said for name, said in known.items() if said is not None}
        if len(found) == len(known):
            return found
        new = sorted(answer_id for answer_id, _ in known.keys() - found.keys())
        for row in connection.execute(_SAID, {"answer_ids": new}):
            said = Said.of(row)
            found[said.id, said.answer.digest] = (row.tenant, said)
            self._remember((said.id, said.answer.digest), row.tenant, said)
        return found

    def characters(self) -> int:
        """Return how many characters are held, and what each answer takes besides."""
        return self._held

    def _remember(self, name: _Name, tenant: str, said: Said) -> None:
        with self._lock:
            if name[1] is None or name in self._said:
                return
            self._said[name] = (tenant, said)
            self._held += _size(said)
            while self._held > self._most:
                _, oldest = self._said.pop(next(iter(self._said)))
                self._held -= _size(oldest)


def read_entries(
    connection: Connection, answers: RememberedAnswers, keys: Sequence[bytes]
) -> dict[bytes, CacheEntry]:
    """Return the entries of these questions, accepted or not, as far as there are any.

    Their answers are not deleted until the transaction ends.
    """
    rows = _rows(connection, keys)
    said = answers.of(connection, {(answer_id, digest) for _, answer_id, digest, *_ in rows})
    return {
        keys[place]: CacheEntry(*said[answer_id, digest], _moment(stored), _moment(expires))
        for place, answer_id, digest, stored, expires in rows
    }


def _rows(
    connection: Connection, keys: Sequence[bytes]
) -> Sequence[tuple[int, int, str | None, datetime | str, datetime | str]]:
    if connection.dialect.name == "sqlite":
        facts = {"size": len(keys), "keys": b"".join(keys)}
        rows: list[tuple[int, int, str | None, str, str]] = json.loads(
            _IN_SQLITE.one(connection, facts)[0]
        )
        return rows
    return _IN_POSTGRESQL.rows(connection, {"keys": _array(keys)})


def _array(keys: Sequence[bytes]) -> str:
    """Return keys as PostgreSQL writes an array of them: the driver would take each on its own."""
    return "{" + ",".join([f'"\\\\x{key.hex()}"' for key in keys]) + "}"


def _moment(stored: datetime | str) -> datetime:
    if isinstance(stored, str):
        return datetime.fromisoformat(stored).replace(tzinfo=UTC)
    return stored.astimezone(UTC)


def _size(said: Said) -> int:
    return _APART_FROM_TEXT + len(said.text) + len(said.answer.text)
