"""Removes what is old, a few rows at a time.

Rows are looked for without a lock, and every condition is asked again when they are removed. Rows
that somebody else has locked are passed over, not waited for: pruning never is a part of a
deadlock, and several processes that prune at once are in nobody's way.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Delete,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)

from askonce.core.attempts import Outcome
from askonce.core.flights import FlightState
from askonce.core.retention import Gone, Look, Old
from askonce.db.attempts import DIED
from askonce.db.columns import UtcDateTime
from askonce.db.erasure_rows import ErasureRow
from askonce.db.flights import PURGED
from askonce.db.rows import AnalysisRow, AnswerRow, AttemptRow, FlightRow, IdempotencyRow
from askonce.db.unused import IS_UNUSED

_BEFORE = bindparam("before", type_=UtcDateTime)
_LAST: BindParameter[Any] = bindparam("last")
_LAST_AT = bindparam("last_at", type_=UtcDateTime)
_LIMIT = bindparam("limit", type_=Integer)
_KEYS: BindParameter[Any] = bindparam("keys", expanding=True)
_ANSWERS: BindParameter[Any] = bindparam("answer_ids", expanding=True)
_IS_OLD = true().label("is_old")
_NO_SIZE = literal(0).label("size")

# The answer of a call that is not accounted for may still come: from a process that was only
# frozen, or out of the spool of a machine that is off. Its epoch must be found then.
_IS_AWAITED = exists().where(
    AttemptRow.fingerprint == FlightRow.fingerprint,
    or_(
        AttemptRow.started_at > _BEFORE,
        and_(
            AttemptRow.epoch == FlightRow.epoch,
            or_(
                AttemptRow.outcome == Outcome.OPEN.value,
                and_(AttemptRow.outcome == Outcome.UNKNOWN.value, AttemptRow.reason == DIED),
            ),
        ),
    ),
)
_IS_OLD_ENTRY = and_(
    FlightRow.state != FlightState.RUNNING.value,
    or_(FlightRow.expires_at.is_(None), FlightRow.expires_at <= _BEFORE),
    ~_IS_AWAITED,
)
_LOOK_AT_ENTRIES = (
    select(FlightRow.fingerprint.label("key"), _IS_OLD_ENTRY.label("is_old"), _NO_SIZE)
    .order_by(FlightRow.fingerprint)
    .limit(_LIMIT)
)
_LOCK_ENTRIES = (
    select(FlightRow.fingerprint)
    .where(FlightRow.fingerprint.in_(_KEYS), _IS_OLD_ENTRY)
    .with_for_update(skip_locked=True)
)
_REMOVE_ENTRIES = delete(FlightRow).where(FlightRow.fingerprint.in_(_KEYS))

_LOOK_AT_KEYS = (
    select(IdempotencyRow.scope.label("key"), IdempotencyRow.created_at, _IS_OLD, _NO_SIZE)
    .where(IdempotencyRow.created_at <= _BEFORE)
    .order_by(IdempotencyRow.created_at, IdempotencyRow.scope)
    .limit(_LIMIT)
)
_LOCK_KEYS = (
    select(IdempotencyRow.scope)
    .where(IdempotencyRow.scope.in_(_KEYS), IdempotencyRow.created_at <= _BEFORE)
    .with_for_update(skip_locked=True)
)
_REMOVE_KEYS = delete(IdempotencyRow).where(IdempotencyRow.scope.in_(_KEYS))

_LOOK_AT_ERASURES = (
    select(ErasureRow.digest.label("key"), ErasureRow.erased_at, _IS_OLD, _NO_SIZE)
    .where(ErasureRow.erased_at <= _BEFORE)
    .order_by(ErasureRow.erased_at, ErasureRow.digest)
    .limit(_LIMIT)
)
_LOCK_ERASURES = (
    select(ErasureRow.digest)
    .where(ErasureRow.digest.in_(_KEYS), ErasureRow.erased_at <= _BEFORE)
    .with_for_update(skip_locked=True)
)
_REMOVE_ERASURES = delete(ErasureRow).where(ErasureRow.digest.in_(_KEYS))

_IS_OLD_ANALYSIS = AnalysisRow.created_at < _BEFORE
_LOOK_AT_ANALYSES = (
    select(
        AnalysisRow.id.label("key"),
        _IS_OLD_ANALYSIS.label("is_old"),
        case(
            (_IS_OLD_ANALYSIS, func.length(AnswerRow.text) + func.length(AnswerRow.result)),
            else_=0,
        ).label("size"),
    )
    .join(AnswerRow, AnswerRow.id == AnalysisRow.answer_id)
    .order_by(AnalysisRow.id)
    .limit(_LIMIT)
)
# Taken before we look for other uses: nobody can add one until we are through.
_LOCK_ANSWERS = (
    select(AnswerRow.id)
    .where(
        AnswerRow.id.in_(
            select(AnalysisRow.answer_id).where(AnalysisRow.id.in_(_KEYS), _IS_OLD_ANALYSIS)
        )
    )
    .with_for_update(skip_locked=True, of=AnswerRow)
)
_ENTRIES_OF = select(FlightRow.fingerprint, FlightRow.answer_id).where(
    FlightRow.answer_id.in_(_ANSWERS)
)
_LOCK_ENTRIES_OF = (
    select(FlightRow.fingerprint)
    .where(FlightRow.answer_id.in_(_ANSWERS), FlightRow.state != FlightState.RUNNING.value)
    .with_for_update(skip_locked=True)
)
_REMOVE_ANALYSES = delete(AnalysisRow).where(
    AnalysisRow.id.in_(_KEYS), AnalysisRow.answer_id.in_(_ANSWERS), _IS_OLD_ANALYSIS
)
_UNUSED = select(AnswerRow.id).where(AnswerRow.id.in_(_ANSWERS), IS_UNUSED)
_PURGE_ENTRIES_OF = update(FlightRow).where(FlightRow.answer_id.in_(_ANSWERS)).values(PURGED)
_REMOVE_ANSWERS = delete(AnswerRow).where(AnswerRow.id.in_(_ANSWERS))

_IS_OLD_ATTEMPT = and_(AttemptRow.started_at < _BEFORE, AttemptRow.outcome != Outcome.OPEN.value)
_LOOK_AT_ATTEMPTS = (
    select(AttemptRow.id.label("key"), _IS_OLD_ATTEMPT.label("is_old"), _NO_SIZE)
    .order_by(AttemptRow.id)
    .limit(_LIMIT)
)
_LOCK_ATTEMPTS = (
    select(AttemptRow.id)
    .where(AttemptRow.id.in_(_KEYS), _IS_OLD_ATTEMPT)
    .with_for_update(skip_locked=True)
)
_REMOVE_ATTEMPTS = delete(AttemptRow).where(AttemptRow.id.in_(_KEYS))


class SqlOldRows:
    """Rows of one table: `look_at` the first ones, `look_on` behind those."""

    look_at: Select[*tuple[Any, ...]]
    look_on: Select[*tuple[Any, ...]]
    lock: Select[Any]
    delete: Delete

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def look(self, last: Any, *, before: datetime, limit: int) -> Look:
        """Return which of the next `limit` rows are old."""
        facts = {"before": before, "limit": limit}
        if last is None:
            rows = self._connection.execute(self.look_at, facts).all()
        else:
            rows = self._connection.execute(self.look_on, facts | last).all()
        old = [Old(row.key, row.size) for row in rows if row.is_old]
        return Look(old, self.place_of(rows[-1]) if len(rows) == limit else None)

    def remove(self, keys: Sequence[Any], *, before: datetime) -> Gone:
        """Remove those of these rows that still are old."""
        locked = self._connection.scalars(self.lock, {"keys": keys, "before": before}).all()
        if not locked:
            return Gone()
        return Gone(self._connection.execute(self.delete, {"keys": locked}).rowcount)

    def place_of(self, row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
        """Return where a row stands, as `look_on` asks for it."""
        return {"last": row.key}


class SqlOldEntries(SqlOldRows):
    """Questions that nobody leads, whose entry has expired. The answer is somebody's history."""

    look_at = _LOOK_AT_ENTRIES
    look_on = look_at.where(FlightRow.fingerprint > _LAST)
    lock = _LOCK_ENTRIES
    delete = _REMOVE_ENTRIES


class SqlOldIdempotencyKeys(SqlOldRows):
    """Idempotency keys that would be used anew, the oldest first."""

    look_at = _LOOK_AT_KEYS
    look_on = look_at.where(
        tuple_(IdempotencyRow.created_at, IdempotencyRow.scope) > tuple_(_LAST_AT, _LAST)
    )
    lock = _LOCK_KEYS
    delete = _REMOVE_KEYS

    def place_of(self, row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
        """Return where a row stands, as `look_on` asks for it."""
        return {"last": row.key, "last_at": row.created_at}


class SqlOldErasures(SqlOldRows):
    """Erasures that no request can have begun before, the oldest first."""

    look_at = _LOOK_AT_ERASURES
    look_on = look_at.where(
        tuple_(ErasureRow.erased_at, ErasureRow.digest) > tuple_(_LAST_AT, _LAST)
    )
    lock = _LOCK_ERASURES
    delete = _REMOVE_ERASURES

    def place_of(self, row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
        """Return where a row stands, as `look_on` asks for it."""
        return {"last": row.key, "last_at": row.erased_at}


class SqlOldAttempts(SqlOldRows):
    """The oldest calls that are settled."""

    look_at = _LOOK_AT_ATTEMPTS
    look_on = look_at.where(AttemptRow.id > _LAST)
    lock = _LOCK_ATTEMPTS
    delete = _REMOVE_ATTEMPTS


class SqlOldAnalyses(SqlOldRows):
    """The oldest history of all users, and the answers that nobody uses without it.

    Sessions have no age: what was said in one stays until it is deleted.
    """

    look_at = _LOOK_AT_ANALYSES
    look_on = look_at.where(AnalysisRow.id > _LAST)
    lock = _LOCK_ANSWERS
    delete = _REMOVE_ANALYSES

    def remove(self, keys: Sequence[Any], *, before: datetime) -> Gone:
        """Remove those of these rows that still are old.

        With the last use of an answer, it and its cache entry go too, as when a user deletes it.
        One that is just being asked for anew stays until that is done: fencing that call off
        would only have it paid for twice.
        """
        answers = self._removable_answers(keys, before)
        if not answers:
            return Gone()
        facts = {"keys": keys, "answer_ids": answers, "before": before}
        gone = self._connection.execute(self.delete, facts).rowcount
        unused = self._connection.scalars(_UNUSED, {"answer_ids": answers}).all()
        if unused:
            self._connection.execute(_PURGE_ENTRIES_OF, {"answer_ids": unused})
            self._connection.execute(_REMOVE_ANSWERS, {"answer_ids": unused})
        return Gone(gone, len(unused))

    def _removable_answers(self, keys: Sequence[Any], before: datetime) -> list[int]:
        """Return the answers of these rows that we have locked together with their entries."""
        facts = {"keys": keys, "before": before}
        answers = set(self._connection.scalars(self.lock, facts))
        if not answers:
            return []
        facts = {"answer_ids": sorted(answers)}
        locked = set(self._connection.scalars(_LOCK_ENTRIES_OF, facts))
        entries = self._connection.execute(_ENTRIES_OF, facts)
        busy = {entry.answer_id for entry in entries if entry.fingerprint not in locked}
        return sorted(answers - busy)
