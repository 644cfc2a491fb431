"""Full-text search over text and result: the same words are found on both databases.

The first 100 000 characters of each can be searched (PostgreSQL refuses an index entry of a
megabyte), words are compared without case, and ASCII punctuation separates them. The indexes are
made in the first migration and keep themselves up to date, deletions included.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Dialect, false, literal_column, text

from askonce.db.rows import AnswerRow

# The very expression of the index ix_answers_words, or PostgreSQL would not use it.
_DOCUMENT = r"""to_tsvector('simple'::regconfig,
  translate(left(answers.text, 100000) || ' ' || left(answers.result, 100000),
    '!"#$%&()*+,-./\:;<=>?@[]^_`{|}~''', repeat(' ', 32)))"""


def has_words(dialect: Dialect, words: Sequence[str]) -> ColumnElement[bool]:
    """Return the condition that an answer holds all of `words` (letters and digits only)."""
    if not words:
        return false()
    if dialect.name == "sqlite":
        found = text("SELECT rowid FROM answers_words WHERE answers_words MATCH :words")
        quoted = " ".join(f'"{word}"' for word in words)
        return AnswerRow.id.in_(found.bindparams(words=quoted).columns(AnswerRow.id))
    wanted = text("plainto_tsquery('simple'::regconfig, :words)").bindparams(words=" ".join(words))
    return literal_column(_DOCUMENT).op("@@")(wanted)
