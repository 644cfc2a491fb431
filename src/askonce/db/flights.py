"""The flight table: at most one call in flight for a question, whoever asks it and wherever.

Each step is one conditional statement, the same on SQLite and PostgreSQL. PostgreSQL evaluates
the condition of an UPDATE on the newest version of a row (READ COMMITTED), so that a conditional
UPDATE is a compare-and-swap. The statements are built once: building one takes five times as long
as running it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from types import ModuleType
from typing import Any

from sqlalchemy import Connection, Executable, and_, bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core.caching import Accepted
from askonce.core.flights import FlightState, Lease, Seen, first_epoch
from askonce.core.ports import Entry, Kept
from askonce.core.requests import Request
from askonce.db.entries import RememberedAnswers, read_entries
from askonce.db.giving import share_all
from askonce.db.prepared import Prepared
from askonce.db.rows import FlightRow

RUNNING = FlightState.RUNNING.value
FAILED = FlightState.FAILED.value

_IS_IT = FlightRow.fingerprint == bindparam("key")
_IS_RUNNING = FlightRow.state == RUNNING
_HAS_FENCE = FlightRow.fence == bindparam("seen_fence")
_IS_SILENT = and_(_IS_IT, _IS_RUNNING, _HAS_FENCE, FlightRow.beat == bindparam("seen_beat"))
_IS_ACCEPTED = and_(
    FlightRow.expires_at > bindparam("now"),
    FlightRow.stored_at > bindparam("stored_after"),
    FlightRow.stored_at <= bindparam("stored_by"),
)
_SEEN = select(
    FlightRow.fingerprint,
    FlightRow.epoch,
    FlightRow.fence,
    FlightRow.beat,
    FlightRow.state,
    FlightRow.owner,
    FlightRow.takeovers,
    FlightRow.answer_id,
    FlightRow.stored_at,
    FlightRow.expires_at,
    FlightRow.failure,
)

_READ = _SEEN.where(FlightRow.fingerprint.in_(bindparam("keys", expanding=True)))
_LOCKED = Prepared(_SEEN.where(_IS_IT).with_for_update())
_BEAT = (
    update(FlightRow)
    .where(
        FlightRow.fingerprint.in_(bindparam("keys", expanding=True)),
        _IS_RUNNING,
        FlightRow.owner == bindparam("me"),
    )
    .values(beat=FlightRow.beat + 1)
)
_HOLDS = select(FlightRow.fence).where(_IS_IT, _IS_RUNNING, _HAS_FENCE)
_PROBE = update(FlightRow).where(_IS_SILENT).values(probes=FlightRow.probes + 1)
_TAKE_OVER = (
    update(FlightRow)
    .where(_IS_SILENT)
    .values(fence=FlightRow.fence + 1, beat=0, takeovers=FlightRow.takeovers + 1)
)
_GIVE_UP = update(FlightRow).where(_IS_SILENT).values(state=FAILED)
_LAND = Prepared(
    update(FlightRow)
    .where(
        _IS_IT,
        FlightRow.epoch == bindparam("leased_epoch"),
        or_(_IS_RUNNING, FlightRow.state == FAILED),
    )
    .values(state=FlightState.DONE.value, failure=None)
)
_FAIL = update(FlightRow).where(_IS_IT, _IS_RUNNING, _HAS_FENCE).values(state=FAILED)


# What makes a row forget its entry, and refuse whatever a call in flight brings.
PURGED = {
    FlightRow.state: FlightState.PURGED.value,
    FlightRow.epoch: FlightRow.epoch + 1,
    FlightRow.fence: FlightRow.fence + 1,
    FlightRow.answer_id: None,
    FlightRow.stored_at: None,
    FlightRow.expires_at: None,
}


def _claim(dialect: ModuleType) -> Prepared:
    first = dialect.insert(FlightRow).values(
        epoch=bindparam("first"),
        fence=bindparam("first"),
        beat=0,
        probes=0,
        state=RUNNING,
        takeovers=0,
    )
    claim = first.on_conflict_do_update(
        index_elements=[FlightRow.fingerprint],
        set_={
            "epoch": FlightRow.epoch + 1,
            "fence": FlightRow.fence + 1,
            "beat": 0,
            "state": RUNNING,
            "owner": first.excluded.owner,
            "takeovers": 0,
            "failure": None,
        },
        where=and_(FlightRow.state != RUNNING, or_(FlightRow.answer_id.is_(None), ~_IS_ACCEPTED)),
    )
    return Prepared(claim.returning(FlightRow.epoch, FlightRow.fence))


_CLAIM = {dialect.__name__.rpartition(".")[2]: _claim(dialect) for dialect in (sqlite, postgresql)}


class SqlFlights:
    """The questions in flight and the entries that they left."""

    def __init__(self, connection: Connection, answers: RememberedAnswers) -> None:
        self._connection = connection
        self._answers = answers

    def recall(self, requests: Sequence[Request], *, at: datetime) -> Sequence[Kept | None]:
        """Give each asker a cache entry that will do: write the history row and return both.

        None, and no row, when there is no such entry. What is served is always what is in the
        table at the moment of the commit, so an entry that was deleted elsewhere is not served.
        """
        keys = sorted({request.fingerprint for request in requests})
        entries = read_entries(self._connection, self._answers, keys)
        accepted = {rules: rules.accepted(at) for rules in {one.rules for one in requests}}
        chosen = [
            entry
            if entry is not None
            and entry.tenant == request.asker.tenant
            and entry.is_accepted(accepted[request.rules])
            else None
            for request, entry in ((one, entries.get(one.fingerprint)) for one in requests)
        ]
        analyses = share_all(
            self._connection,
            [request.asker for request in requests],
            [None if entry is None else entry.said for entry in chosen],
            at=at,
        )
        return [
            None
            if entry is None or analysis is None
            else Kept(analysis=analysis, stored_at=entry.stored_at, expires_at=entry.expires_at)
            for entry, analysis in zip(chosen, analyses, strict=True)
        ]

    def entry(self, fingerprint: bytes, *, tenant: str, accepted: Accepted) -> Entry | None:
        """Return an accepted cache entry, which is not deleted until this transaction ends."""
        entries = read_entries(self._connection, self._answers, [fingerprint])
        found = entries.get(fingerprint)
        if found is None or found.tenant != tenant or not found.is_accepted(accepted):
            return None
        return Entry(found.said.id, found.stored_at, found.expires_at)

    def claim(
        self, fingerprint: bytes, *, tenant: str, owner: str, accepted: Accepted
    ) -> Lease | None:
        """Take the lease where nobody leads and no accepted entry stands; else None.

        The old entry stays readable until a new answer replaces it.
        """
        row = _CLAIM[self._connection.dialect.name].row(
            self._connection,
            {
                "fingerprint": fingerprint,
                "tenant": tenant,
                "owner": owner,
                "first": first_epoch(accepted.now),
                **_limits(accepted),
            },
        )
        if row is None:
            return None
        return Lease(fingerprint=fingerprint, epoch=row.epoch, fence=row.fence)

    def read(self, fingerprints: Iterable[bytes]) -> dict[bytes, Seen]:
        """Return the rows of these questions, as far as there are any."""
        rows = self._connection.execute(_READ, {"keys": list(fingerprints)})
        return {row.fingerprint: _seen(row) for row in rows}

    def locked(self, fingerprint: bytes) -> Seen | None:
        """Return a question's row; nobody else changes it until this transaction ends."""
        row = _LOCKED.row(self._connection, {"key": fingerprint})
        return None if row is None else _seen(row)

    def beat(self, fingerprints: Sequence[bytes], owner: str) -> None:
        """Show that the leader of all these flights lives."""
        self._connection.execute(_BEAT, {"keys": fingerprints, "me": owner})

    def holds(self, lease: Lease) -> bool:
        """Return whether nobody has acquired the flight since this lease was given."""
        row = self._connection.execute(_HOLDS, _leased(lease)).one_or_none()
        return row is not None

    def probe(self, fingerprint: bytes, seen: Seen) -> bool:
        """Write to a silent flight's row; True proves that the database takes writes."""
        return self._changed(_PROBE, _silent(fingerprint, seen))

    def take_over(self, fingerprint: bytes, seen: Seen, *, owner: str) -> Lease | None:
        """Lead in place of a leader that has not beaten since `seen`; None if it has."""
        if not self._changed(_TAKE_OVER, _silent(fingerprint, seen) | {"owner": owner}):
            return None
        return Lease(fingerprint=fingerprint, epoch=seen.epoch, fence=seen.fence + 1)

    def give_up(self, fingerprint: bytes, seen: Seen, *, failure: str) -> bool:
        """Fail a flight whose leaders keep dying."""
        return self._changed(_GIVE_UP, _silent(fingerprint, seen) | {"failure": failure})

    def land(
        self, lease: Lease, *, answer_id: int, stored_at: datetime, expires_at: datetime
    ) -> bool:
        """Keep the answer of this lease's epoch.

        The first answer of an epoch stands, whichever leader brings it: False when the epoch has
        one, or was purged. A failed epoch has none, and what was paid for is kept.
        """
        facts = {
            "key": lease.fingerprint,
            "leased_epoch": lease.epoch,
            "answer_id": answer_id,
            "stored_at": stored_at,
            "expires_at": expires_at,
        }
        return _LAND.change(self._connection, facts) == 1

    def fail(self, lease: Lease, *, failure: str | None) -> bool:
        """End a flight without an answer; `failure` is for those who are waiting.

        Without one they ask anew.
        """
        return self._changed(_FAIL, _leased(lease) | {"failure": failure})

    def _changed(self, statement: Executable, facts: dict[str, object]) -> bool:
        return self._connection.execute(statement, facts).rowcount == 1


def _limits(accepted: Accepted) -> dict[str, object]:
    return {
        "now": accepted.now,
        "stored_after": accepted.stored_after,
        "stored_by": accepted.stored_by,
    }


def _silent(fingerprint: bytes, seen: Seen) -> dict[str, object]:
    return {"key": fingerprint, "seen_fence": seen.fence, "seen_beat": seen.beat}


def _leased(lease: Lease) -> dict[str, object]:
    return {"key": lease.fingerprint, "seen_fence": lease.fence}


def _seen(row: Any) -> Seen:
    return Seen(
        epoch=row.epoch,
        fence=row.fence,
        beat=row.beat,
        state=FlightState(row.state),
        owner=row.owner,
        takeovers=row.takeovers,
        answer_id=row.answer_id,
        stored_at=row.stored_at,
        expires_at=row.expires_at,
        failure=row.failure,
    )
