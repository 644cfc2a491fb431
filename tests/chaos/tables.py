"""Reads what a run's database holds in the end, behind the product's back."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select, text

from askonce.db.database import SqlDatabase
from askonce.db.rows import AnalysisRow, AnswerRow, AttemptRow, FlightRow
from tests.chaos.evidence import Analysis, Answer, Attempt, Flight
from tests.chaos.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """All rows, and what the database complains about."""

    attempts: tuple[Attempt, ...]
    answers: tuple[Answer, ...]
    analyses: tuple[Analysis, ...]
    flights: tuple[Flight, ...]
    damage: tuple[str, ...]


def tables(url: str, watch: Stopwatch) -> Tables:
    """Return what the database holds."""
    with closing(SqlDatabase(url, pool_size=1)) as database, database.reading() as tx:
        return Tables(
            attempts=tuple(_attempts(tx.connection, watch)),
            answers=tuple(_answers(tx.connection)),
            analyses=tuple(_analyses(tx.connection)),
            flights=tuple(_flights(tx.connection)),
            damage=tuple(_damage(tx.connection)) if database.is_sqlite else (),
        )


def open_owners(url: str) -> set[str]:
    """Return who has attempts that are open."""
    with closing(SqlDatabase(url, pool_size=1)) as database, database.reading() as tx:
        is_open = AttemptRow.outcome == "open"
        return set(tx.connection.scalars(select(AttemptRow.owner).where(is_open)))


def _attempts(connection: Connection, watch: Stopwatch) -> Iterator[Attempt]:
    def moment(at: datetime) -> float:
        return watch.of_wall(at.timestamp())

    for row in connection.execute(select(AttemptRow.__table__).order_by(AttemptRow.id)):
        yield Attempt(
            id=row.id,
            fingerprint=row.fingerprint,
            epoch=row.epoch,
            fence=row.fence,
            owner=row.owner,
            provider=row.provider,
            outcome=row.outcome,
            reason=row.reason,
            answer_id=row.answer_id,
            started=moment(row.started_at),
            finished=None if row.finished_at is None else moment(row.finished_at),
        )


def _answers(connection: Connection) -> Iterator[Answer]:
    for row in connection.execute(select(AnswerRow.__table__)):
        yield Answer(
            id=row.id,
            fingerprint=row.fingerprint,
            text=row.text,
            result=row.result,
            finish_reason=row.finish_reason,
        )


def _analyses(connection: Connection) -> Iterator[Analysis]:
    for row in connection.execute(select(AnalysisRow.__table__)):
        yield Analysis(id=row.id, user=row.user_id, answer_id=row.answer_id, cached=row.cached)


def _flights(connection: Connection) -> Iterator[Flight]:
    for row in connection.execute(select(FlightRow.__table__)):
        yield Flight(
            fingerprint=row.fingerprint,
            epoch=row.epoch,
            fence=row.fence,
            state=row.state,
            owner=row.owner,
            answer_id=row.answer_id,
        )


def _damage(connection: Connection) -> Iterator[str]:
    for check in ("integrity_check", "foreign_key_check"):
        for row in connection.execute(text(f"PRAGMA {check}")):
            if tuple(row) != ("ok",):
                yield f"{check}: {tuple(row)}"
