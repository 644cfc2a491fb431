"""Deletes all that is held about one user, in one transaction, some thousand rows at a time.

No statement runs long, and nothing that others use is locked against them: of an answer that was
given to others too, only the use is deleted.
"""

from collections import Counter
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Delete,
    Executable,
    Update,
    bindparam,
    case,
    delete,
    select,
    text,
    update,
)

from askonce.core.erasure import Receipt
from askonce.core.provider_batches import LineState
from askonce.db.attempts import ANONYMOUS
from askonce.db.batch_rows import BatchLineRow
from askonce.db.book_rows import UsageRow
from askonce.db.preferences import SqlPreferences
from askonce.db.rows import (
    AnalysisRow,
    AnswerRow,
    AttemptRow,
    IdempotencyRow,
    MessageRow,
    SessionRow,
)
from askonce.db.sign_in_rows import SignInRow
from askonce.db.unused import IS_UNUSED, hold, remove_unused

_NO_QUESTION = bytes(32)
_PORTION = 2_000
_USER: Any = {"tenant": bindparam("of_tenant"), "user_id": bindparam("of_user")}
_MERGE_WORDS = text("INSERT INTO answers_words (answers_words, rank) VALUES ('automerge', :parts)")
# FTS5's own default.
_USUAL_PARTS = 4
_IDS: Any = bindparam("ids", expanding=True)
_ANSWERS: Any = bindparam("answer_ids", expanding=True)

_SESSIONS = (
    select(SessionRow.id)
    .where(SessionRow.tenant == _USER["tenant"], SessionRow.user_id == _USER["user_id"])
    .order_by(SessionRow.id)
    .with_for_update()
    .limit(_PORTION)
)
_REMOVE_SESSIONS = delete(SessionRow).where(SessionRow.id.in_(_IDS))
_REMOVE_MESSAGES = (
    delete(MessageRow)
    .where(
        MessageRow.id.in_(
            select(MessageRow.id).where(MessageRow.session_id.in_(_IDS)).limit(_PORTION)
        )
    )
    .returning(MessageRow.answer_id)
)
_REMOVE_ANALYSES = (
    delete(AnalysisRow)
    .where(
        AnalysisRow.id.in_(
            select(AnalysisRow.id)
            .where(AnalysisRow.tenant == _USER["tenant"], AnalysisRow.user_id == _USER["user_id"])
            .order_by(AnalysisRow.id)
            .limit(_PORTION)
        )
    )
    .returning(AnalysisRow.answer_id)
)
_REMOVE_KEYS = delete(IdempotencyRow).where(
    IdempotencyRow.tenant == _USER["tenant"], IdempotencyRow.user_id == _USER["user_id"]
)
_REMOVE_SIGN_INS = delete(SignInRow).where(
    SignInRow.tenant == _USER["tenant"], SignInRow.user_id == _USER["user_id"]
)
_REMOVE_USAGE = delete(UsageRow).where(
    UsageRow.tenant == _USER["tenant"], UsageRow.user_id == _USER["user_id"]
)
# While we hold this, nobody can delete these answers' other uses; hits go on.
_SHARE = (
    select(AnswerRow.id)
    .where(AnswerRow.id.in_(_ANSWERS))
    .order_by(AnswerRow.id)
    .with_for_update(read=True, key_share=True)
)
_UNUSED = select(AnswerRow.id).where(AnswerRow.id.in_(_ANSWERS), IS_UNUSED)
_ANONYMISE = (
    update(AttemptRow)
    .where(
        AttemptRow.id.in_(
            select(AttemptRow.id)
            .where(AttemptRow.tenant == _USER["tenant"], AttemptRow.user_id == _USER["user_id"])
            .order_by(AttemptRow.id)
            .limit(_PORTION)
        )
    )
    .values(
        user_id=ANONYMOUS, fingerprint=_NO_QUESTION, answer_id=None, key_id=None, request_id=None
    )
)
# What was sent cannot be called back. The line stays, so that the call that is made for it can be
# settled, and those that follow it learn that there is nothing to follow.
_BLANK_LINES = (
    update(BatchLineRow)
    .where(
        BatchLineRow.id.in_(
            select(BatchLineRow.id)
            .where(BatchLineRow.tenant == _USER["tenant"], BatchLineRow.user_id == _USER["user_id"])
            .order_by(BatchLineRow.id)
            .limit(_PORTION)
        )
    )
    .values(
        user_id=ANONYMOUS,
        era=None,
        digest="",
        fingerprint=_NO_QUESTION,
        question=None,
        analysis_id=None,
        state=case(
            (BatchLineRow.state == LineState.ANSWERED.value, LineState.FAILED.value),
            else_=BatchLineRow.state,
        ),
        failure=case(
            (BatchLineRow.state == LineState.ANSWERED.value, "deleted"),
            else_=BatchLineRow.failure,
        ),
    )
)


class Erasing:
    """The erasure of one user.

    Sessions and keys first, then answers, then calls: where others lock several of these, they
    do so in this order. A deadlock there is ends with one of both being undone.
    """

    def __init__(self, connection: Connection, tenant: str, user_id: str) -> None:
        self._connection = connection
        self._is_sqlite = connection.dialect.name == "sqlite"
        self._tenant = tenant
        self._user_id = user_id
        self._user = {"of_tenant": tenant, "of_user": user_id}
        self._gone: Counter[str] = Counter()

    def receipt(self, at: datetime) -> Receipt:
        """Delete everything, and return what that was."""
        self._merge_words(at_parts=0)
        self._sessions()
        self._gone["sign_ins"] = self._count(_REMOVE_SIGN_INS, self._user)
        self._gone["idempotency_keys"] = self._count(_REMOVE_KEYS, self._user)
        self._gone["analyses"] = self._uses(_REMOVE_ANALYSES, self._user)
        self._merge_words(at_parts=_USUAL_PARTS)
        self._gone["preferences"] = self._preferences()
        self._gone["batch_lines"] = self._repeated(_BLANK_LINES)
        calls = self._repeated(_ANONYMISE)
        # Behind the calls: whoever just settles one books it for the user, and is waited for there.
        self._gone["usage_days"] = self._count(_REMOVE_USAGE, self._user)
        return Receipt(
            user_id=self._user_id,
            erased_at=at,
            deleted={kind: self._gone[kind] for kind in KINDS},
            anonymised={"calls": calls},
        )

    def _merge_words(self, *, at_parts: int) -> None:
        """Let SQLite's full-text index merge its parts once it has so many, or never.

        It would do so again and again while words are deleted, and take twice as long.
        """
        if self._is_sqlite:
            self._connection.execute(_MERGE_WORDS, {"parts": at_parts})

    def _sessions(self) -> None:
        while sessions := self._connection.execute(_SESSIONS, self._user).scalars().all():
            self._gone["messages"] += self._uses(_REMOVE_MESSAGES, {"ids": sessions})
            self._gone["sessions"] += self._count(_REMOVE_SESSIONS, {"ids": sessions})

    def _uses(self, removing: Executable, facts: dict[str, Any]) -> int:
        """Remove uses of answers, then the answers that nobody uses any more; return how many."""
        removed = 0
        while answers := self._connection.execute(removing, facts).scalars().all():
            removed += len(answers)
            self._unused({answer_id for answer_id in answers if answer_id is not None})
        return removed

    def _unused(self, answers: set[int]) -> None:
        """Remove those of these answers that nobody uses any more.

        Those of others are not held: everybody would have to wait who is just given one.
        """
        found = {"answer_ids": sorted(answers)}
        if not self._is_sqlite:
            self._connection.execute(_SHARE, found).all()
        unused = self._connection.execute(_UNUSED, found).scalars().all()
        if not self._is_sqlite:
            hold(self._connection, unused)
        self._gone["answers"] += remove_unused(self._connection, unused)

    def _preferences(self) -> int:
        preferences = SqlPreferences(self._connection)
        if preferences.of(self._tenant, self._user_id) is None:
            return 0
        return int(preferences.remove(self._tenant, self._user_id))

    def _repeated(self, change: Update) -> int:
        """Change all rows of the user, a portion at a time, and return how many that were."""
        changed = 0
        while some := self._count(change, self._user):
            changed += some
        return changed

    def _count(self, statement: Delete | Update, facts: dict[str, Any]) -> int:
        done: Executable = statement
        return self._connection.execute(done, facts).rowcount


KINDS = (
    "analyses",
    "answers",
    "sessions",
    "messages",
    "preferences",
    "idempotency_keys",
    "usage_days",
    "sign_ins",
    "batch_lines",
)
