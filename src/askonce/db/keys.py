"""Who may call. What is kept of a key is its digest."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, exists, insert, select, update

from askonce.core.access import Role
from askonce.core.keys import Key, KeyNews, NewKey
from askonce.db.key_rows import KeyRow
from askonce.db.rows import RevisionRow

_IS_OURS = RevisionRow.name == "keys"
_COLUMNS = (
    KeyRow.id,
    KeyRow.tenant,
    KeyRow.name,
    KeyRow.role,
    KeyRow.user_id,
    KeyRow.digest,
    KeyRow.shown,
    KeyRow.previous_digest,
    KeyRow.previous_until,
    KeyRow.created_at,
    KeyRow.rotated_at,
    KeyRow.revoked_at,
)

# Built once: building a statement takes longer than running it.
_ALL = select(*_COLUMNS).order_by(KeyRow.id)
_ADD = insert(KeyRow).returning(*_COLUMNS)
_REVISION = select(RevisionRow.version, RevisionRow.deleted).where(_IS_OURS)
_NEXT = (
    update(RevisionRow)
    .where(_IS_OURS)
    .values(version=RevisionRow.version + 1)
    .returning(RevisionRow.version)
)


class SqlKeys:
    """The keys of all tenants."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def hold(self) -> None:
        """Keep all others from changing keys until this transaction ends."""
        self._connection.execute(_REVISION.with_for_update())

    def add(self, new: NewKey, *, at: datetime) -> Key:
        """Make a key good from now on."""
        facts = asdict(new) | {"role": new.role.value, "version": self._next(), "created_at": at}
        return _key(self._connection.execute(_ADD, facts).one())

    def rotate(
        self, key: Key, *, digest: bytes, shown: str, previous_until: datetime | None, at: datetime
    ) -> Key:
        """Give a key another text; the one it had is good until `previous_until`, or no more."""
        return self._change(
            key,
            digest=digest,
            shown=shown,
            previous_digest=None if previous_until is None else key.digest,
            previous_until=previous_until,
            rotated_at=at,
        )

    def revoke(self, key: Key, *, at: datetime) -> Key:
        """Make a key good no more."""
        return self._change(key, previous_digest=None, previous_until=None, revoked_at=at)

    def by_id(self, key_id: int) -> Key | None:
        """Return a key that was not revoked."""
        return self._one(KeyRow.id == key_id)

    def named(self, tenant: str, name: str) -> Key | None:
        """Return the key of that name that was not revoked: there is at most one."""
        return self._one(KeyRow.tenant == tenant, KeyRow.name == name)

    def all(self, tenant: str | None) -> Sequence[Key]:
        """Return all keys, or those of a tenant, the oldest first."""
        statement = _ALL if tenant is None else _ALL.where(KeyRow.tenant == tenant)
        return [_key(row) for row in self._connection.execute(statement)]

    def is_any(self) -> bool:
        """Return whether a key was ever made."""
        return bool(self._connection.execute(select(exists(select(KeyRow.id)))).scalar_one())

    def news(self, since: int | None) -> KeyNews:
        """Return what has changed after version `since`; without one, all keys."""
        revision = self._connection.execute(_REVISION).one()
        # A version that went back: the database was restored from a backup.
        is_all = since is None or revision.deleted > since or revision.version < since
        if revision.version == since:
            return KeyNews(version=revision.version, keys=(), is_all=False)
        statement = _ALL if is_all else _ALL.where(KeyRow.version > since)
        keys = [_key(row) for row in self._connection.execute(statement)]
        return KeyNews(version=revision.version, keys=keys, is_all=is_all)

    def _one(self, *conditions: Any) -> Key | None:
        row = self._connection.execute(
            _ALL.where(*conditions, KeyRow.revoked_at.is_(None))
        ).one_or_none()
        return None if row is None else _key(row)

    def _change(self, key: Key, **values: Any) -> Key:
        row = self._connection.execute(
            update(KeyRow)
            .where(KeyRow.id == key.id, KeyRow.tenant == key.tenant)
            .values(**values, version=self._next())
            .returning(*_COLUMNS)
        ).one()
        return _key(row)

    def _next(self) -> int:
        """Return the version of a change; its lock lets changes commit in their order."""
        return self._connection.execute(_NEXT).scalar_one()


def _key(row: Row[*tuple[Any, ...]]) -> Key:
    facts = row._mapping  # noqa: SLF001 - public in spite of its name
    return Key(**{**facts, "role": Role(row.role)})
