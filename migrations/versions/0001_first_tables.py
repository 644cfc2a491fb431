"""Answers, analyses, flights and attempts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)

# The words of the first 100 000 characters of each column can be searched.
WORDS_POSTGRESQL = r"""
CREATE INDEX ix_answers_words ON answers USING gin (to_tsvector('simple'::regconfig,
  translate(left(answers.text, 100000) || ' ' || left(answers.result, 100000),
    '!"#$%&()*+,-./\:;<=>?@[]^_`{|}~''', repeat(' ', 32))))
"""
WORDS_SQLITE = (
    """
    CREATE VIRTUAL TABLE answers_words USING fts5(
      text, result, content='answers', content_rowid='id',
      tokenize='unicode61 remove_diacritics 0')
    """,
    """
    CREATE TRIGGER answers_words_added AFTER INSERT ON answers BEGIN
      INSERT INTO answers_words (rowid, text, result)
      VALUES (new.id, substr(new.text, 1, 100000), substr(new.result, 1, 100000));
    END
    """,
    """
    CREATE TRIGGER answers_words_deleted AFTER DELETE ON answers BEGIN
      INSERT INTO answers_words (answers_words, rowid, text, result)
      VALUES ('delete', old.id, substr(old.text, 1, 100000), substr(old.result, 1, 100000));
    END
    """,
)


def upgrade() -> None:
    """Make the tables and the index of words."""
    create_answers()
    create_analyses()
    create_flights()
    create_attempts()
    create_index_of_words()


def downgrade() -> None:
    """Drop everything."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE answers_words")
    for table in ("attempts", "flights", "analyses", "answers"):
        op.drop_table(table)


def create_answers() -> None:
    """What providers said, each once."""
    op.create_table(
        "answers",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("is_structured", sa.Boolean(), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("finish_reason", sa.String(16), nullable=False),
        sa.Column("tokens_in", sa.BigInteger(), nullable=False),
        sa.Column("tokens_out", sa.BigInteger(), nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "finish_reason IN ('stop', 'length', 'refusal')",
            name=op.f("ck_answers_finish_reason"),
        ),
        sa.CheckConstraint("tokens_in >= 0 AND tokens_out >= 0", name=op.f("ck_answers_tokens")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answers")),
        sqlite_autoincrement=True,
    )


def create_analyses() -> None:
    """Who asked what, and when."""
    op.create_table(
        "analyses",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("answer_id", ID, nullable=False),
        sa.Column("cached", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_analyses_answer_id_answers")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_analyses")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_analyses_answer_id"), "analyses", ["answer_id"])
    op.create_index(op.f("ix_analyses_tenant_user_id_id"), "analyses", ["tenant", "user_id", "id"])


def create_flights() -> None:
    """The lease on each question, and the cache entry that it left."""
    op.create_table(
        "flights",
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("beat", sa.BigInteger(), nullable=False),
        sa.Column("probes", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("takeovers", sa.Integer(), nullable=False),
        sa.Column("answer_id", ID, nullable=True),
        sa.Column("stored_at", MOMENT, nullable=True),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'done', 'failed', 'purged')", name=op.f("ck_flights_state")
        ),
        sa.CheckConstraint(
            "(answer_id IS NULL) = (expires_at IS NULL)"
            " AND (answer_id IS NULL) = (stored_at IS NULL)",
            name=op.f("ck_flights_entry"),
        ),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["answers.id"], name=op.f("fk_flights_answer_id_answers")
        ),
        sa.PrimaryKeyConstraint("fingerprint", name=op.f("pk_flights")),
    )
    op.create_index(op.f("ix_flights_answer_id"), "flights", ["answer_id"])


def create_attempts() -> None:
    """Every provider call, written before it is made."""
    op.create_table(
        "attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(32), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64), nullable=True),
        sa.Column("answer_id", ID, nullable=True),
        sa.Column("tokens_in", sa.BigInteger(), nullable=True),
        sa.Column("tokens_out", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "outcome IN ('open', 'answered', 'duplicate', 'invalid', 'failed', 'unknown')",
            name=op.f("ck_attempts_outcome"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_attempts_fingerprint"), "attempts", ["fingerprint"])
    op.create_index(
        "ix_attempts_open",
        "attempts",
        ["owner"],
        sqlite_where=sa.text("outcome = 'open'"),
        postgresql_where=sa.text("outcome = 'open'"),
    )


def create_index_of_words() -> None:
    """Full-text search: FTS5 kept by triggers on SQLite, a GIN index on PostgreSQL."""
    if op.get_bind().dialect.name == "sqlite":
        for statement in WORDS_SQLITE:
            op.execute(statement)
    else:
        # Straight to the driver: SQLAlchemy would read a colon as a parameter.
        op.get_bind().exec_driver_sql(WORDS_POSTGRESQL.replace("%", "%%"))
