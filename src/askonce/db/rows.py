"""The tables. `docs/architecture.md` says what each is for."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from askonce.db.columns import Id, Usd, UtcDateTime


class Row(DeclarativeBase):
    """The base of all tables."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class AnswerRow(Row):
    """What a provider said, once, however many users were given it."""

    __tablename__ = "answers"
    __table_args__ = (
        CheckConstraint("finish_reason IN ('stop', 'length', 'refusal')", name="finish_reason"),
        CheckConstraint("tokens_in >= 0 AND tokens_out >= 0", name="tokens"),
        # An id that was deleted is never given out again: a cursor or a replay would meet it.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    text: Mapped[str] = mapped_column(Text)
    result: Mapped[str] = mapped_column(Text)
    is_structured: Mapped[bool]
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(128))
    finish_reason: Mapped[str] = mapped_column(String(16))
    tokens_in: Mapped[int] = mapped_column(BigInteger)
    tokens_out: Mapped[int] = mapped_column(BigInteger)
    cost: Mapped[Decimal | None] = mapped_column(Usd)
    # The audit trail has the digest alone. Without the salt, which goes with the row, nobody can
    # find out by guessing what it is of. Rows from before there was a trail have neither.
    salt: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    digest: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class AnalysisRow(Row):
    """One user having asked one question at one time: the history."""

    __tablename__ = "analyses"
    __table_args__ = (
        Index(None, "tenant", "user_id", "id"),
        # With the user: an answer may have been given a million times, to others.
        Index(None, "answer_id", "tenant", "user_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(128))
    answer_id: Mapped[int] = mapped_column(ForeignKey("answers.id"), type_=Id)
    cached: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FlightRow(Row):
    """One question in flight or cached: the lease on it and the entry that it left."""

    __tablename__ = "flights"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'done', 'failed', 'purged')", name="state"),
        CheckConstraint(
            "(answer_id IS NULL) = (expires_at IS NULL)"
            " AND (answer_id IS NULL) = (stored_at IS NULL)",
            name="entry",
        ),
        Index(None, "answer_id"),
    )

    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    epoch: Mapped[int] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger)
    beat: Mapped[int] = mapped_column(BigInteger)
    probes: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(8))
    owner: Mapped[str] = mapped_column(String(64))
    takeovers: Mapped[int]
    answer_id: Mapped[int | None] = mapped_column(ForeignKey("answers.id"), type_=Id)
    stored_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    failure: Mapped[str | None] = mapped_column(Text)


class AttemptRow(Row):
    """One call to a provider: written before it is made, settled after it."""

    __tablename__ = "attempts"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('open', 'answered', 'duplicate', 'invalid', 'failed', 'unknown')",
            name="outcome",
        ),
        Index(None, "fingerprint"),
        Index(None, "tenant", "user_id"),
        Index(
            "ix_attempts_open",
            "owner",
            sqlite_where=text("outcome = 'open'"),
            postgresql_where=text("outcome = 'open'"),
        ),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    # Empty once the user has been erased.
    user_id: Mapped[str] = mapped_column(String(128))
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary(32))
    # 0 for a call outside the cache (no-store), which no flight stands for.
    epoch: Mapped[int] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(String(64))
    # Who asked: NULL where no key was asked for.
    key_id: Mapped[int | None] = mapped_column(Id)
    request_id: Mapped[str | None] = mapped_column(String(128))
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(128))
    outcome: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    # Not a foreign key: the record of a call outlives the answer that it bought.
    answer_id: Mapped[int | None] = mapped_column(Id)
    tokens_in: Mapped[int | None] = mapped_column(BigInteger)
    tokens_out: Mapped[int | None] = mapped_column(BigInteger)
    cost: Mapped[Decimal | None] = mapped_column(Usd)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Whether something is, or was, held for it: `budget_reservations` has what. None: nothing.
    is_budgeted: Mapped[bool | None]


class IdempotencyRow(Row):
    """A client's key: which request it came with, and what that was answered with."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index(None, "tenant", "user_id"), Index(None, "created_at"))

    scope: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(128))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    # Not foreign keys: after what was given has been deleted the key still tells that it was.
    analysis_id: Mapped[int | None] = mapped_column(Id)
    session_id: Mapped[int | None] = mapped_column(Id)
    message_id: Mapped[int | None] = mapped_column(Id)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SessionRow(Row):
    """A conversation."""

    __tablename__ = "sessions"
    __table_args__ = (
        CheckConstraint("messages >= 0 AND replied BETWEEN 0 AND messages", name="positions"),
        Index(None, "tenant", "user_id", "updated_at", "id"),
        Index(None, "tenant", "updated_at", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(128))
    title: Mapped[str] = mapped_column(Text)
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(128))
    instructions: Mapped[str | None] = mapped_column(Text)
    # How many messages there are, summaries not counted, and which is the assistant's newest:
    # whoever adds one compares and swaps here, so that no reply lands behind another thread.
    messages: Mapped[int] = mapped_column(BigInteger)
    replied: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MessageRow(Row):
    """One thing that was said in a session, or a summary of all before it."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant', 'summary')", name="role"),
        # What a model said stands in `answers`, once, however many sessions it was said in.
        CheckConstraint("(content IS NULL) = (answer_id IS NOT NULL)", name="content"),
        CheckConstraint("(answer_id IS NULL) = (sent IS NULL)", name="sent"),
        Index(None, "session_id", "id"),
        Index(
            "uq_messages_session_id_position",
            "session_id",
            "position",
            unique=True,
            sqlite_where=text("role <> 'summary'"),
            postgresql_where=text("role <> 'summary'"),
        ),
        Index(
            "ix_messages_summaries",
            "session_id",
            "position",
            sqlite_where=text("role = 'summary'"),
            postgresql_where=text("role = 'summary'"),
        ),
        Index(None, "answer_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant: Mapped[str] = mapped_column(String(64))
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id"), type_=Id)
    role: Mapped[str] = mapped_column(String(16))
    # From 1; of a summary the last position that it stands for.
    position: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[str | None] = mapped_column(Text)
    answer_id: Mapped[int | None] = mapped_column(ForeignKey("answers.id"), type_=Id)
    cached: Mapped[bool]
    sent: Mapped[int | None] = mapped_column(BigInteger)
    summarised: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PreferenceRow(Row):
    """What a user wants where a request leaves it open."""

    __tablename__ = "preferences"
    __table_args__ = (Index(None, "version"),)

    tenant: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(String(128), primary_key=True)
    provider: Mapped[str | None] = mapped_column(String(64))
    model: Mapped[str | None] = mapped_column(String(128))
    instructions: Mapped[str | None] = mapped_column(Text)
    max_output_tokens: Mapped[int | None]
    version: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RevisionRow(Row):
    """How often something has changed, so that all processes notice: one row for each kind.

    Its lock lets changes commit in the order of their versions; numbers of a sequence would not.
    """

    __tablename__ = "revisions"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    version: Mapped[int] = mapped_column(BigInteger)
    # The version of the newest deletion, which leaves no row that could be found.
    deleted: Mapped[int] = mapped_column(BigInteger)
