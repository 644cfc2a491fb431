"""Browsers that are signed in to the console, and those that are so no more."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    bindparam,
    delete,
    insert,
    literal,
    select,
    true,
    tuple_,
    update,
)

from askonce.core.sign_ins import SignIn
from askonce.db.columns import UtcDateTime
from askonce.db.pruning import SqlOldRows
from askonce.db.sign_in_rows import SignInRow

_IS_IT = SignInRow.digest == bindparam("of")
_COLUMNS = (
    SignInRow.digest,
    SignInRow.tenant,
    SignInRow.key_id,
    SignInRow.key_digest,
    SignInRow.user_id,
    SignInRow.created_at,
    SignInRow.expires_at,
)

# Built once: building a statement takes longer than running it.
_ADD = insert(SignInRow)
_ONE = select(*_COLUMNS).where(_IS_IT)
_EXTEND = update(SignInRow).where(_IS_IT).values(expires_at=bindparam("until", type_=UtcDateTime))
_REMOVE = delete(SignInRow).where(_IS_IT)
_OLDEST = (
    select(SignInRow.digest)
    .where(SignInRow.key_id == bindparam("of_key"))
    .order_by(SignInRow.created_at.desc(), SignInRow.digest)
    .offset(bindparam("kept", type_=Integer))
    .limit(1_000)
)
_REMOVE_SOME = delete(SignInRow).where(SignInRow.digest.in_(bindparam("digests", expanding=True)))

_IS_OLD = SignInRow.expires_at <= bindparam("before", type_=UtcDateTime)


class SqlSignIns:
    """All browsers that are signed in."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, sign_in: SignIn) -> None:
        """Let a browser in."""
        self._connection.execute(_ADD, asdict(sign_in))

    def one(self, digest: bytes) -> SignIn | None:
        """Return what is known of a browser, also where it is over."""
        row = self._connection.execute(_ONE, {"of": digest}).one_or_none()
        return None if row is None else SignIn(**row._mapping)  # noqa: SLF001 - public in spite of its name

    def extend(self, digest: bytes, *, expires_at: datetime) -> None:
        """Note that it was used."""
        self._connection.execute(_EXTEND, {"of": digest, "until": expires_at})

    def remove(self, digest: bytes) -> bool:
        """Forget a browser; False where it was not known."""
        return bool(self._connection.execute(_REMOVE, {"of": digest}).rowcount)

    def remove_all_but_newest(self, key_id: int, *, kept: int) -> None:
        """Forget all browsers of a key but the newest."""
        facts = {"of_key": key_id, "kept": kept}
        oldest = self._connection.scalars(_OLDEST, facts).all()
        if oldest:
            self._connection.execute(_REMOVE_SOME, {"digests": oldest})


class SqlOldSignIns(SqlOldRows):
    """Browsers that are signed in no more, the oldest first."""

    look_at = (
        select(
            SignInRow.digest.label("key"),
            SignInRow.expires_at,
            true().label("is_old"),
            literal(0).label("size"),
        )
        .where(_IS_OLD)
        .order_by(SignInRow.expires_at, SignInRow.digest)
        .limit(bindparam("limit", type_=Integer))
    )
    look_on = look_at.where(
        tuple_(SignInRow.expires_at, SignInRow.digest)
        > tuple_(bindparam("last_at", type_=UtcDateTime), bindparam("last"))
    )
    lock = (
        select(SignInRow.digest)
        .where(SignInRow.digest.in_(bindparam("keys", expanding=True)), _IS_OLD)
        .with_for_update(skip_locked=True)
    )
    delete = delete(SignInRow).where(SignInRow.digest.in_(bindparam("keys", expanding=True)))

    def place_of(self, row: Any) -> dict[str, Any]:
        """Return where a row stands, as `look_on` asks for it."""
        return {"last": row.key, "last_at": row.expires_at}
