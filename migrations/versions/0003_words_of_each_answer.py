"""Indexes for searches by one user among the answers of all."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy as sa
from alembic import op

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

revision = "0003"
down_revision = "0002"

# With more answers or analyses than this, PostgreSQL's tables are changed step by step, without
# locking them.
FEW = 10_000
BATCH = 1_000

# For the driver, to which a single percent sign is a place for a parameter.
DOCUMENT = r"""to_tsvector('simple'::regconfig,
  translate(left({0}.text, 100000) || ' ' || left({0}.result, 100000),
    '!"#$%%&()*+,-./\:;<=>?@[]^_`{{|}}~''', repeat(' ', 32)))"""

# Each of these can be run again, if the one before it was the last that was done.
WORDS = (
    """
    CREATE TABLE IF NOT EXISTS answers_words (
      answer_id bigint PRIMARY KEY REFERENCES answers (id) ON DELETE CASCADE,
      words tsvector NOT NULL)
    """,
    f"""
    CREATE OR REPLACE FUNCTION answers_words_add() RETURNS trigger LANGUAGE plpgsql AS $body$
    BEGIN
      INSERT INTO answers_words VALUES (new.id, strip({DOCUMENT.format("new")}));
      RETURN NULL;
    END $body$
    """,  # noqa: S608 - nothing of it comes from outside
    """
    CREATE OR REPLACE TRIGGER answers_words_added AFTER INSERT ON answers
    FOR EACH ROW EXECUTE FUNCTION answers_words_add()
    """,
)
# Locked, so that no answer is deleted before its words are committed.
OLD_ANSWERS = f"""
    INSERT INTO answers_words
    SELECT answers.id, strip({DOCUMENT.format("answers")}) FROM (
      SELECT id, text, result FROM answers WHERE id > %s ORDER BY id LIMIT %s FOR KEY SHARE
    ) AS answers
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - nothing of it comes from outside
LAST_OF_BATCH = """
    SELECT max(id) FROM (SELECT id FROM answers WHERE id > %s ORDER BY id LIMIT %s) AS batch
"""


def upgrade() -> None:
    """Keep the words of each answer, and find a user's analyses by their answer."""
    if op.get_bind().dialect.name == "sqlite":
        op.create_index(
            op.f("ix_analyses_answer_id_tenant_user_id"),
            "analyses",
            ["answer_id", "tenant", "user_id"],
        )
        op.drop_index(op.f("ix_analyses_answer_id"), "analyses")
        return
    with unhurried() as (connection, concurrently):
        for statement in WORDS:
            connection.exec_driver_sql(statement)
        fill(connection)
        # Without a list of what is pending: each search would go through it, and somebody's insert
        # would have to empty it.
        make_index(
            connection,
            concurrently,
            "ix_answers_words_words",
            "answers_words USING gin (words) WITH (fastupdate = off)",
        )
        make_index(
            connection,
            concurrently,
            "ix_analyses_answer_id_tenant_user_id",
            "analyses (answer_id, tenant, user_id)",
        )
        for old in ("ix_analyses_answer_id", "ix_answers_words"):
            connection.exec_driver_sql(f"DROP INDEX {concurrently} IF EXISTS {old}")


def downgrade() -> None:
    """Index the words of answers as they stand in their table."""
    op.create_index(op.f("ix_analyses_answer_id"), "analyses", ["answer_id"])
    op.drop_index(op.f("ix_analyses_answer_id_tenant_user_id"), "analyses")
    if op.get_bind().dialect.name == "sqlite":
        return
    op.execute("DROP TRIGGER answers_words_added ON answers")
    op.execute("DROP FUNCTION answers_words_add()")
    op.execute("DROP TABLE answers_words")
    document = DOCUMENT.format("answers")
    op.get_bind().exec_driver_sql(
        f"CREATE INDEX ix_answers_words ON answers USING gin ({document})"
    )


@contextmanager
def unhurried() -> "Iterator[tuple[Connection, str]]":
    """Give a connection on which each statement is a transaction, and how indexes are made there.

    Few rows are changed in the migration's own transaction, all or nothing.
    """
    own = op.get_bind()
    engine = sa.create_engine(
        own.engine.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    with engine.connect() as apart:
        # Asked there: whoever is in a transaction and has read a table is waited for.
        if has_many_rows(apart):
            yield apart, "CONCURRENTLY"
        else:
            yield own, ""


def has_many_rows(connection: "Connection") -> bool:
    """Return whether changing them all would take long."""
    config = op.get_context().config
    few = FEW if config is None else config.attributes.get("few", FEW)
    if not sa.inspect(connection).has_table("answers"):
        # Made just now, in a transaction that has not ended.
        return False
    # Few answers may have been given very often.
    return any(
        connection.execute(beyond, {"few": few}).first() is not None
        for beyond in (
            sa.text("SELECT 1 FROM answers ORDER BY id OFFSET :few LIMIT 1"),
            sa.text("SELECT 1 FROM analyses ORDER BY id OFFSET :few LIMIT 1"),
        )
    )


def fill(connection: "Connection") -> None:
    """Add the words of the answers that are there, a few at a time."""
    last = 0
    while True:
        facts = (last, BATCH)
        end = connection.exec_driver_sql(LAST_OF_BATCH, facts).scalar_one()
        if end is None:
            return
        connection.exec_driver_sql(OLD_ANSWERS, facts)
        last = end


def make_index(connection: "Connection", concurrently: str, name: str, on: str) -> None:
    """Make an index, anew where one is there that may not have been finished."""
    connection.exec_driver_sql(f"DROP INDEX {concurrently} IF EXISTS {name}")
    connection.exec_driver_sql(f"CREATE INDEX {concurrently} {name} ON {on}")
