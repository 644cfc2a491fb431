"""The flight table: at most one call in flight for a question, whoever asks it and wherever.

Each step is one conditional statement, the same on SQLite and PostgreSQL. PostgreSQL evaluates
the condition of an UPDATE on the newest version of a row (READ COMMITTED), so that a conditional
UPDATE is a compare-and-swap.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core.access import Asker
from askonce.core.caching import Accepted
from askonce.core.flights import FlightState, Lease, Seen
from askonce.core.ports import Kept
from askonce.db.analyses import ANSWER_COLUMNS, add_analysis
from askonce.db.rows import AnswerRow, FlightRow

RUNNING = FlightState.RUNNING.value

SEEN_COLUMNS = (
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


class SqlFlights:
    """The questions in flight and the entries that they left."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def recall(self, fingerprint: bytes, asker: Asker, accepted: Accepted) -> Kept | None:
        """Give a user an accepted cache entry: write the history row and return both.

        None, and no row, when there is no such entry. What is served is always what is in the
        table at the moment of the commit, so an entry that was deleted elsewhere is not served.
        """
        row = self._connection.execute(
            select(FlightRow.answer_id, FlightRow.stored_at, FlightRow.expires_at, *ANSWER_COLUMNS)
            .join(AnswerRow, AnswerRow.id == FlightRow.answer_id)
            .where(
                FlightRow.fingerprint == fingerprint,
                AnswerRow.fingerprint == fingerprint,
                AnswerRow.tenant == asker.tenant,
                _is_accepted(accepted),
            )
            .with_for_update(read=True, key_share=True, of=AnswerRow)
        ).one_or_none()
        if row is None:
            return None
        analysis = add_analysis(
            self._connection, asker, row.answer_id, row, cached=True, at=accepted.now
        )
        return Kept(analysis=analysis, stored_at=row.stored_at, expires_at=row.expires_at)

    def claim(
        self, fingerprint: bytes, *, tenant: str, owner: str, accepted: Accepted
    ) -> Lease | None:
        """Take the lease where nobody leads and no accepted entry stands; else None.

        The old entry stays readable until a new answer replaces it.
        """
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        first = dialect.insert(FlightRow).values(
            fingerprint=fingerprint,
            tenant=tenant,
            epoch=1,
            fence=1,
            beat=0,
            probes=0,
            state=RUNNING,
            owner=owner,
            takeovers=0,
        )
        statement = first.on_conflict_do_update(
            index_elements=[FlightRow.fingerprint],
            set_={
                "epoch": FlightRow.epoch + 1,
                "fence": FlightRow.fence + 1,
                "beat": 0,
                "state": RUNNING,
                "owner": owner,
                "takeovers": 0,
                "failure": None,
            },
            where=and_(
                FlightRow.state != RUNNING,
                or_(FlightRow.answer_id.is_(None), ~_is_accepted(accepted)),
            ),
        ).returning(FlightRow.epoch, FlightRow.fence)
        row = self._connection.execute(statement).one_or_none()
        if row is None:
            return None
        return Lease(fingerprint=fingerprint, epoch=row.epoch, fence=row.fence)

    def read(self, fingerprints: Iterable[bytes]) -> dict[bytes, Seen]:
        """Return the rows of these questions, as far as there are any."""
        rows = self._connection.execute(
            select(*SEEN_COLUMNS).where(FlightRow.fingerprint.in_(list(fingerprints)))
        )
        return {row.fingerprint: _seen(row) for row in rows}

    def locked(self, fingerprint: bytes) -> Seen | None:
        """Return a question's row; nobody else changes it until this transaction ends."""
        row = self._connection.execute(
            select(*SEEN_COLUMNS).where(FlightRow.fingerprint == fingerprint).with_for_update()
        ).one_or_none()
        return None if row is None else _seen(row)

    def beat(self, fingerprints: Sequence[bytes], owner: str) -> None:
        """Show that the leader of all these flights lives."""
        self._connection.execute(
            update(FlightRow)
            .where(
                FlightRow.fingerprint.in_(fingerprints),
                FlightRow.state == RUNNING,
                FlightRow.owner == owner,
            )
            .values(beat=FlightRow.beat + 1)
        )

    def holds(self, lease: Lease) -> bool:
        """Return whether nobody has acquired the flight since this lease was given."""
        return (
            self._connection.execute(
                select(FlightRow.fence).where(
                    FlightRow.fingerprint == lease.fingerprint,
                    FlightRow.state == RUNNING,
                    FlightRow.fence == lease.fence,
                )
            ).one_or_none()
            is not None
        )

    def probe(self, fingerprint: bytes, seen: Seen) -> bool:
        """Write to a silent flight's row; True proves that the database takes writes."""
        return self._changed(_is_silent(fingerprint, seen), probes=FlightRow.probes + 1)

    def take_over(self, fingerprint: bytes, seen: Seen, *, owner: str) -> Lease | None:
        """Lead in place of a leader that has not beaten since `seen`; None if it has."""
        if not self._changed(
            _is_silent(fingerprint, seen),
            fence=FlightRow.fence + 1,
            beat=0,
            owner=owner,
            takeovers=FlightRow.takeovers + 1,
        ):
            return None
        return Lease(fingerprint=fingerprint, epoch=seen.epoch, fence=seen.fence + 1)

    def give_up(self, fingerprint: bytes, seen: Seen, *, failure: str) -> bool:
        """Fail a flight whose leaders keep dying."""
        return self._changed(
            _is_silent(fingerprint, seen), state=FlightState.FAILED.value, failure=failure
        )

    def land(
        self, lease: Lease, *, answer_id: int, stored_at: datetime, expires_at: datetime
    ) -> bool:
        """Keep the answer of this lease's epoch.

        The first answer of an epoch stands, whichever leader brings it: False when the epoch has
        one, or was purged. A failed epoch has none, and what was paid for is kept.
        """
        return self._changed(
            and_(
                FlightRow.fingerprint == lease.fingerprint,
                FlightRow.epoch == lease.epoch,
                FlightRow.state.in_([RUNNING, FlightState.FAILED.value]),
            ),
            state=FlightState.DONE.value,
            answer_id=answer_id,
            stored_at=stored_at,
            expires_at=expires_at,
            failure=None,
        )

    def fail(self, lease: Lease, *, failure: str) -> bool:
        """End a flight without an answer; `failure` is for those who are waiting."""
        return self._changed(
            and_(
                FlightRow.fingerprint == lease.fingerprint,
                FlightRow.state == RUNNING,
                FlightRow.fence == lease.fence,
            ),
            state=FlightState.FAILED.value,
            failure=failure,
        )

    def _changed(self, condition: ColumnElement[bool], **values: object) -> bool:
        statement = update(FlightRow).where(condition).values(values)
        return self._connection.execute(statement).rowcount == 1


def _is_accepted(accepted: Accepted) -> ColumnElement[bool]:
    return and_(
        FlightRow.expires_at > accepted.now,
        FlightRow.stored_at > accepted.stored_after,
        FlightRow.stored_at <= accepted.stored_by,
    )


def _is_silent(fingerprint: bytes, seen: Seen) -> ColumnElement[bool]:
    return and_(
        FlightRow.fingerprint == fingerprint,
        FlightRow.state == RUNNING,
        FlightRow.fence == seen.fence,
        FlightRow.beat == seen.beat,
    )


def _seen(row: Row[*tuple[Any, ...]]) -> Seen:
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
