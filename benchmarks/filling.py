"""Fills tables as years of use would: many users, many answers, words as people use them.

`python -m benchmarks.filling URL --answers N --analyses N` adds so many of each.
"""

import argparse
import random
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import accumulate, islice
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Insert,
    String,
    bindparam,
    cast,
    func,
    insert,
    literal,
    select,
)

from askonce.core.access import DEFAULT_TENANT
from askonce.db.database import SqlDatabase
from askonce.db.rows import AnalysisRow, AnswerRow
from benchmarks import processors

USERS = 100
CHARACTERS = 500
_SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvwz" for vowel in "aeiou"]
_WORDS = 20_000
_SENTENCES = 20_000
_WORDS_OF_SENTENCE = 12
_BATCH = 2_000
_FULL_TEXT_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'answers' AND indexdef LIKE '%% USING gin %%'
"""
_THEN = datetime(2026, 11, 21, 10, tzinfo=UTC)


def _adding_analyses() -> Insert:
    """Made in the database: a million rows in seconds."""
    start, end = bindparam("start", type_=BigInteger), bindparam("end", type_=BigInteger)
    answers = bindparam("answers", type_=BigInteger)
    numbers = select(start.label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n + 1 < end))
    return insert(AnalysisRow).from_select(
        ["tenant", "user_id", "answer_id", "cached", "created_at"],
        select(
            literal(DEFAULT_TENANT),
            literal("user-").concat(cast(numbers.c.n % USERS, String)),
            numbers.c.n % answers + 1,
            literal(value=True),
            literal(_THEN, AnalysisRow.created_at.type),
        ),
    )


_ADD_ANALYSES = _adding_analyses()


def word(rank: int) -> str:
    """Return the word that is the `rank`-th most frequent (from 0): how often goes by 1 / rank."""
    first, rest = divmod(rank, len(_SYLLABLES))
    second, third = divmod(first, len(_SYLLABLES))
    return _SYLLABLES[rest] + _SYLLABLES[second % len(_SYLLABLES)] + _SYLLABLES[third] + "n"


def only_word(number: int) -> str:
    """Return the word that only the answer with this number has."""
    return f"order{number}"


def user(number: int) -> str:
    return f"user-{number % USERS}"


def fill(urls: Iterable[str], *, answers: int, analyses: int) -> None:
    """Add answers, then analyses that refer to them; all databases at one time."""
    added = [f"--answers={answers}", f"--analyses={analyses}"]
    command = processors.anywhere([sys.executable, "-m", "benchmarks.filling", *added])
    running = [subprocess.Popen([*command, url]) for url in urls]
    codes = [process.wait() for process in running]
    if any(codes):
        raise RuntimeError("a database could not be filled")


def add_analyses(database: SqlDatabase, *, rows: int, answers: int) -> None:
    """Add `rows` analyses, spread over users and over the first `answers` answers."""
    for start in range(0, rows, _BATCH):
        with _patient(database) as connection:
            end = min(start + _BATCH, rows)
            connection.execute(_ADD_ANALYSES, {"start": start, "end": end, "answers": answers})


def add_answers(database: SqlDatabase, *, rows: int) -> None:
    """Add answers to different questions of some 500 characters each."""
    numbered = enumerate(islice(_texts(), rows))
    with _indexed_afterwards(database):
        while batch := [_answer(number, text) for number, text in islice(numbered, _BATCH)]:
            with _patient(database) as connection:
                connection.execute(insert(AnswerRow), batch)


@contextmanager
def _indexed_afterwards(database: SqlDatabase) -> Iterator[None]:
    """Leave PostgreSQL's full-text index away meanwhile: row by row it takes twice as long."""
    if database.is_sqlite:
        yield
        return
    with _patient(database) as connection:
        found = connection.exec_driver_sql(_FULL_TEXT_INDEXES).all()
        for name, _ in found:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    yield
    with _patient(database) as connection:
        connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '512MB'")
        for _, definition in found:
            # Straight to the driver, which would take a percent sign for a parameter.
            connection.exec_driver_sql(definition.replace("%", "%%"))


@contextmanager
def _patient(database: SqlDatabase) -> Iterator[Connection]:
    """Open a transaction that may take longer than a request's."""
    with database.transaction() as tx:
        if not database.is_sqlite:
            tx.connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        yield tx.connection


def _answer(number: int, text: str) -> dict[str, Any]:
    return {
        "tenant": DEFAULT_TENANT,
        "fingerprint": number.to_bytes(32),
        "text": text,
        "result": f"Neutral, it is about {only_word(number)}.",
        "is_structured": False,
        "provider": "claude",
        "model": "claude-haiku-5-5",
        "finish_reason": "stop",
        "tokens_in": 120,
        "tokens_out": 23,
        "cost": None,
        "created_at": _THEN,
    }


def _texts() -> Iterator[str]:
    # Always the same texts, so that two runs measure the same.
    draw = random.Random(1)
    words = [word(rank) for rank in range(_WORDS)]
    weights = list(accumulate(1 / (rank + 1) for rank in range(_WORDS)))
    sentences = [
        " ".join(draw.choices(words, cum_weights=weights, k=_WORDS_OF_SENTENCE)) + "."
        for _ in range(_SENTENCES)
    ]
    while True:
        yield " ".join(draw.choices(sentences, k=7))[:CHARACTERS]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filling")
    parser.add_argument("url")
    parser.add_argument("--answers", type=int, default=0)
    parser.add_argument("--analyses", type=int, default=0)
    options = parser.parse_args()
    database = SqlDatabase(options.url)
    add_answers(database, rows=options.answers)
    with database.reading() as tx:
        answers = tx.connection.execute(select(func.count(AnswerRow.id))).scalar_one()
    add_analyses(database, rows=options.analyses, answers=answers)
    if not database.is_sqlite:
        with _patient(database) as connection:
            # PostgreSQL does this by itself, a minute later.
            connection.exec_driver_sql("ANALYZE")
    database.close()


if __name__ == "__main__":
    main()
