"""Full-text search over text and result: the same words are found on both databases.

The first 100 000 characters of each can be searched (PostgreSQL refuses an index entry of a
megabyte), words are compared without case, and ASCII punctuation separates them. Each database has
a table `answers_words`, which triggers keep up to date, deletions included: an FTS5 index on
SQLite; on PostgreSQL the words of each answer, with an index over them.
"""

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    column,
    select,
    table,
    text,
    type_coerce,
)

from askonce.db.rows import AnalysisRow

# Words that fewer answers have are looked up in the index of all answers, in a few milliseconds.
RARE = 1_000

_INDEX = table("answers_words", column("rowid", BigInteger), column("answer_id", BigInteger))
_MATCHES_IN_SQLITE = text("answers_words MATCH :words")
_MATCHES_IN_POSTGRESQL = text("words @@ plainto_tsquery('simple'::regconfig, :words)")


class Words:
    """Words, letters and digits only, of which an answer has to have all."""

    def __init__(self, connection: Connection, words: Sequence[str]) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._id = _INDEX.c.rowid if self._is_sqlite else _INDEX.c.answer_id
        if self._is_sqlite:
            # Quoted, so that AND, OR and NEAR are words too.
            quoted = " ".join(f'"{word}"' for word in words)
            self._matches = _MATCHES_IN_SQLITE.bindparams(words=quoted)
        else:
            self._matches = _MATCHES_IN_POSTGRESQL.bindparams(words=" ".join(words))

    def rare_answers(self) -> Sequence[int] | None:
        """Return the answers that have the words; None where there are more than `RARE`."""
        if not self._is_sqlite:
            # Statistics may say that the words are common, and so found in no time on the way.
            self._connection.execute(text("SET LOCAL enable_seqscan = off"))
        found = self._connection.scalars(
            select(self._id).select_from(_INDEX).where(self._matches).limit(RARE + 1)
        ).all()
        return found if len(found) <= RARE else None

    def are_in_each(self) -> ColumnElement[bool]:
        """Return the condition that an analysis' answer has the words, asked row by row."""
        if self._is_sqlite:
            found = select(self._id).where(self._matches, self._id == AnalysisRow.answer_id)
            return found.correlate(AnalysisRow).exists()
        # A scalar: PostgreSQL would turn EXISTS around, and begin with all answers that match.
        matches = select(type_coerce(self._matches, Boolean)).select_from(_INDEX)
        of_this = matches.where(self._id == AnalysisRow.answer_id).correlate(AnalysisRow)
        return type_coerce(of_this.scalar_subquery(), Boolean)

    def are_in_many(self, first: int, last: int) -> ColumnElement[bool]:
        """Return the same condition, for thousands of analyses with answers between these two.

        FTS5 takes 0.1 ms for each single row, and 25 ms for half a million that match.
        """
        if not self._is_sqlite:
            return self.are_in_each()
        between = self._id.between(first, last)
        found = select(self._id).select_from(_INDEX).where(self._matches, between)
        return AnalysisRow.answer_id.in_(found)
