"""What a pooler in transaction mode forbids: that a session remembers anything."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from askonce.db.database import SqlDatabase
from tests.examples import KEY, NOW, a_question, an_answer
from tests.keeping import keep_answer


@pytest.fixture
def pooled(postgres_url: str) -> Iterator[SqlDatabase]:
    database = SqlDatabase(f"{postgres_url}&pgbouncer=true", pool_size=1)
    yield database
    database.close()


def settings(database: SqlDatabase) -> list[str]:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    with database.reading() as tx:
        return [tx.connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]


def test_nothing_is_prepared_in_a_session_that_is_shared(pooled: SqlDatabase) -> None:
    for _ in range(20):
        with pooled.transaction() as tx:
            keep_answer(tx, a_question(), an_answer(), tenant="default", fingerprint=KEY, at=NOW)

    with pooled.transaction() as tx:
        prepared = tx.connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))
        assert prepared.scalar_one() == 0


def test_each_transaction_is_limited_and_the_session_is_not(
    pooled: SqlDatabase, postgres_url: str
) -> None:
    direct = SqlDatabase(postgres_url, pool_size=1)

    assert settings(pooled) == settings(direct) == ["5s", "4s", "10s"]
    with pooled.engine.connect() as connection:
        apart = connection.execution_options(isolation_level="AUTOCOMMIT")
        assert apart.execute(text("SHOW lock_timeout")).scalar_one() == "0"
    direct.close()


def test_the_word_for_a_pooler_is_no_part_of_the_databases_name(
    pooled: SqlDatabase, postgres_url: str
) -> None:
    direct = SqlDatabase(postgres_url, pool_size=1)

    assert pooled.name == direct.name
    direct.close()
