"""Pages of a user's history, in a time that does not grow with the tables.

A page without filters takes its rows from the index. One with filters looks at the user's newest
rows, then at more of them (`REACHES`), and then says where the next page goes on, even if it found
little or nothing. Words that few answers have are looked up instead, so that the first page
has them, however far back they are.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Text,
    and_,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from askonce.core.access import Asker
from askonce.core.answers import Analysis
from askonce.core.ports import HistoryFilter, Page
from askonce.db.giving import ANSWER_COLUMNS, Said
from askonce.db.rows import AnalysisRow, AnswerRow
from askonce.db.words import Words

# How many rows are looked at, one stretch after the other: most pages end with the first.
REACHES = (200, 2_000, 20_000)

Conditions = tuple[ColumnElement[bool], ...]

ANALYSES = select(
    AnalysisRow.id,
    AnalysisRow.tenant,
    AnalysisRow.user_id,
    AnalysisRow.cached,
    AnalysisRow.created_at,
    *ANSWER_COLUMNS,
).join(AnswerRow, AnswerRow.id == AnalysisRow.answer_id)

_LISTED = {
    "sqlite": text("SELECT value FROM json_each(:answer_ids)")
    .bindparams(bindparam("answer_ids", type_=Text))
    .columns(AnswerRow.id),
    "postgresql": select(
        func.unnest(bindparam("answer_ids", type_=ARRAY(BigInteger))).column_valued("listed")
    ),
}


class History:
    """The history of one user, from where the last page ended.

    `mine` are the conditions that a row has to meet to be that user's, and the caller's to see.
    """

    def __init__(self, connection: Connection, mine: Conditions, wanted: HistoryFilter) -> None:
        self._connection = connection
        self._wanted = wanted
        self._mine = mine
        self._below = () if wanted.before_id is None else (AnalysisRow.id < wanted.before_id,)
        self._filters = _filters(wanted)

    def page(self) -> Page:
        """Return the newest analyses that are wanted."""
        if self._wanted.words is not None:
            words = Words(self._connection, self._wanted.words)
            return self._found(words) if self._wanted.words else Page(items=())
        return self._found(None) if self._filters else self._plain()

    def _plain(self) -> Page:
        statement = ANALYSES.where(*self._mine, *self._below).order_by(AnalysisRow.id.desc())
        rows = self._connection.execute(statement.limit(self._wanted.limit + 1))
        return self._cut([analysis_of(row) for row in rows])

    def _found(self, words: Words | None) -> Page:
        ids: list[int] = []
        below = self._wanted.before_id
        for rows in REACHES:
            stretch = self._stretch(rows, below, with_answers=words is not None)
            ids += self._ids(*stretch.conditions, *_conditions(words, stretch, rows))
            if self._is_over(ids) or not self._is_more(stretch.floor):
                return self._cut(self._analyses(ids))
            below = stretch.floor
            rare = words.rare_answers() if words and rows == REACHES[0] else None
            if rare is not None:
                return self._cut(self._analyses(self._ids_with(rare)))
        return Page(items=self._analyses(ids), before_id=below)

    def _stretch(self, rows: int, below: int | None, *, with_answers: bool) -> "_Stretch":
        """Return the next so many of the user's rows."""
        above = () if below is None else (AnalysisRow.id < below,)
        newest = select(AnalysisRow.id, AnalysisRow.answer_id).where(*self._mine, *above)
        these = newest.order_by(AnalysisRow.id.desc()).limit(rows).subquery().c
        edges: list[ColumnElement[Any]] = [func.min(these.id)]
        if with_answers:
            # These do not stand in the index that the rows are found by.
            edges += [func.min(these.answer_id), func.max(these.answer_id)]
        floor, *answers = self._connection.execute(select(*edges)).one()
        return _Stretch(floor or 0, (AnalysisRow.id >= (floor or 0), *above), *answers)

    def _is_more(self, floor: int) -> bool:
        older = select(AnalysisRow.id).where(*self._mine, AnalysisRow.id < floor).limit(1)
        return self._connection.execute(older).first() is not None

    def _ids(self, *conditions: ColumnElement[bool]) -> list[int]:
        found = select(AnalysisRow.id).where(*self._mine, *self._filters, *conditions)
        newest = found.order_by(AnalysisRow.id.desc()).limit(self._wanted.limit + 1)
        return list(self._connection.scalars(newest))

    def _ids_with(self, answers: Sequence[int]) -> list[int]:
        """Return the newest ids of rows with these answers, found by their answers."""
        name = self._connection.dialect.name
        listed = AnalysisRow.answer_id.in_(_LISTED[name])
        # Ordered apart: in one statement, PostgreSQL may go through all rows in their order.
        ids = select(AnalysisRow.id).where(*self._mine, *self._below, *self._filters, listed)
        found = ids.cte("found").prefix_with("MATERIALIZED")
        newest = select(found.c.id).order_by(found.c.id.desc()).limit(self._wanted.limit + 1)
        given = json.dumps(list(answers)) if name == "sqlite" else list(answers)
        return list(self._connection.scalars(newest, {"answer_ids": given}))

    def _analyses(self, ids: Sequence[int]) -> list[Analysis]:
        if not ids:
            return []
        statement = ANALYSES.where(AnalysisRow.id.in_(ids)).order_by(AnalysisRow.id.desc())
        return [analysis_of(row) for row in self._connection.execute(statement)]

    def _is_over(self, found: Sequence[Any]) -> bool:
        return len(found) > self._wanted.limit

    def _cut(self, found: Sequence[Analysis]) -> Page:
        items = found[: self._wanted.limit]
        return Page(items=items, before_id=items[-1].id if self._is_over(found) else None)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Rows that follow each other in a user's history, and the range of their answers' ids."""

    floor: int
    conditions: Conditions
    first_answer: int | None = None
    last_answer: int | None = None


def analysis_of(row: Row[*tuple[Any, ...]]) -> Analysis:
    """Read a row of `ANALYSES`."""
    asker = Asker(tenant=row.tenant, user_id=row.user_id)
    return Said.of(row).to(asker, row.id, cached=row.cached, at=row.created_at)


def _conditions(words: Words | None, stretch: _Stretch, rows: int) -> Conditions:
    if words is None:
        return ()
    if rows == REACHES[0]:
        return (words.are_in_each(),)
    return (words.are_in_many(stretch.first_answer, stretch.last_answer),)


def _filters(wanted: HistoryFilter) -> Conditions:
    filters: list[ColumnElement[bool]] = []
    if wanted.cached is not None:
        filters.append(AnalysisRow.cached == wanted.cached)
    if wanted.since is not None:
        filters.append(AnalysisRow.created_at >= wanted.since)
    if wanted.until is not None:
        filters.append(AnalysisRow.created_at < wanted.until)
    of_answer: list[ColumnElement[bool]] = []
    if wanted.provider is not None:
        of_answer.append(AnswerRow.provider == wanted.provider)
    if wanted.model is not None:
        of_answer.append(AnswerRow.model == wanted.model)
    if of_answer:
        # A scalar: PostgreSQL would make a join of anything else, and may begin with all answers.
        fits = select(and_(*of_answer)).where(AnswerRow.id == AnalysisRow.answer_id)
        filters.append(fits.correlate(AnalysisRow).scalar_subquery())
    return tuple(filters)
