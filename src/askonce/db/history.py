"""Pages of a user's history, in a time that does not grow with the tables.

A page without filters takes its rows from the index. One with filters looks at the user's newest
rows, then at more of them (`REACHES`), and then says where the next page goes on, even if it found
little or nothing. Words that few answers have are looked up instead, so that the first page
has them, however far back they are.
"""

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    func,
    select,
    text,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY

from askonce.core.access import Asker
from askonce.core.answers import Analysis
from askonce.core.ports import HistoryFilter, Page
from askonce.db.giving import ANSWER_COLUMNS, Said
from askonce.db.rows import AnalysisRow, AnswerRow
from askonce.db.words import Words

# How many rows are looked at, one stretch after the other: most pages end with the first.
REACHES = (200, 2_000, 10_000)

LAST_ID = 2**63 - 1

S = TypeVar("S", bound=Select[*tuple[Any, ...]])
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
    """The history of one user, from where the last page ended; `walls` are the caller's."""

    def __init__(
        self, connection: Connection, user: Asker, walls: Conditions, wanted: HistoryFilter
    ) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._user = user
        self._walls = walls
        self._wanted = wanted
        self._below = LAST_ID if wanted.before_id is None else wanted.before_id
        self._filters = _filters(wanted)

    def page(self) -> Page:
        """Return the newest analyses that are wanted."""
        if self._wanted.words is not None:
            words = Words(self._connection, self._wanted.words)
            return self._found(words) if self._wanted.words else Page(items=())
        return self._found(None) if self._filters else self._plain()

    def _plain(self) -> Page:
        statement = self._newest_first(ANALYSES, below=self._below)
        rows = self._connection.execute(statement.limit(self._wanted.limit + 1))
        return self._cut([analysis_of(row) for row in rows])

    def _found(self, words: Words | None) -> Page:
        ids: list[int] = []
        below = self._below
        for rows in REACHES:
            floor, *answers = self._stretch(rows, below, with_answers=words is not None)
            ids += self._ids(floor, below, *_conditions(words, rows, answers))
            if self._is_over(ids) or not self._is_more(floor):
                return self._cut(self._analyses(ids))
            rare = words.rare_answers() if words and rows == REACHES[0] else None
            if rare is not None:
                return self._cut(self._analyses(self._ids_with(rare)))
            below = floor
        return Page(items=self._analyses(ids), before_id=below)

    def _stretch(self, rows: int, below: int, *, with_answers: bool) -> Sequence[Any]:
        """Return the oldest id of the next so many rows, and the range of their answers' ids."""
        newest = self._newest_first(select(AnalysisRow.id, AnalysisRow.answer_id), below=below)
        these = newest.limit(rows).subquery().c
        edges: list[ColumnElement[Any]] = [func.coalesce(func.min(these.id), 0)]
        if with_answers:
            # These do not stand in the index that the rows are found by.
            edges += [func.min(these.answer_id), func.max(these.answer_id)]
        return self._connection.execute(select(*edges)).one()

    def _ids(self, floor: int, below: int, *conditions: ColumnElement[bool]) -> list[int]:
        found = self._newest_first(select(AnalysisRow.id), floor=floor, below=below)
        wanted = found.where(*self._filters, *conditions).limit(self._wanted.limit + 1)
        return list(self._connection.scalars(wanted))

    def _is_more(self, floor: int) -> bool:
        older = self._newest_first(select(AnalysisRow.id), below=floor).limit(1)
        return self._connection.execute(older).first() is not None

    def _ids_with(self, answers: Sequence[int]) -> list[int]:
        """Return the newest ids of rows with these answers, found by their answers."""
        ids = select(AnalysisRow.id).where(
            AnalysisRow.answer_id.in_(_LISTED[self._connection.dialect.name]),
            AnalysisRow.tenant == self._user.tenant,
            AnalysisRow.user_id == self._user.user_id,
            AnalysisRow.id < self._below,
            *self._walls,
            *self._filters,
        )
        # Ordered apart: in one step, PostgreSQL may go through all of the user's rows instead.
        found = ids.cte("found").prefix_with("MATERIALIZED")
        newest = select(found.c.id).order_by(found.c.id.desc()).limit(self._wanted.limit + 1)
        given = json.dumps(list(answers)) if self._is_sqlite else list(answers)
        return list(self._connection.scalars(newest, {"answer_ids": given}))

    def _newest_first(self, statement: S, *, below: int, floor: int = 0) -> S:
        """Return the user's rows from `floor` to below `below`, by the index that has them so."""
        tenant, user_id, id_ = AnalysisRow.tenant, AnalysisRow.user_id, AnalysisRow.id
        mine = (self._user.tenant, self._user.user_id)
        if self._is_sqlite:
            is_mine = and_(tenant == mine[0], user_id == mine[1], id_ >= floor, id_ < below)
            return statement.where(is_mine, *self._walls).order_by(id_.desc())
        # Said so, PostgreSQL has no other index for it. Going backwards through all rows until
        # enough of them are the user's looks cheap where the user has many, and all may be old.
        place = tuple_(tenant, user_id, id_)
        is_mine = and_(place >= tuple_(*mine, floor), place < tuple_(*mine, below))
        # Out of the index's sight: by the tenant alone, it would begin at the tenant's end.
        walls = (wall.is_(True) for wall in self._walls)
        order = (tenant.desc(), user_id.desc(), id_.desc())
        return statement.where(is_mine, *walls).order_by(*order)

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


def analysis_of(row: Row[*tuple[Any, ...]]) -> Analysis:
    """Read a row of `ANALYSES`."""
    asker = Asker(tenant=row.tenant, user_id=row.user_id)
    return Said.of(row).to(asker, row.id, cached=row.cached, at=row.created_at)


def _conditions(words: Words | None, rows: int, answers: Sequence[int]) -> Conditions:
    if words is None:
        return ()
    return (words.are_in_each() if rows == REACHES[0] else words.are_in_many(*answers),)


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
