"""What users want where their requests leave it open."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from askonce.core.preferences import Wishes
from askonce.core.stores import PreferenceNews
from askonce.db.rows import PreferenceRow, RevisionRow

_NAME = "preferences"
_IS_OURS = RevisionRow.name == _NAME
_IS_IT = (
    PreferenceRow.tenant == bindparam("of_tenant"),
    PreferenceRow.user_id == bindparam("of_user"),
)

# Built once: building a statement takes longer than running it.
_OF = select(
    PreferenceRow.provider,
    PreferenceRow.model,
    PreferenceRow.instructions,
    PreferenceRow.max_output_tokens,
).where(*_IS_IT)
_REMOVE = delete(PreferenceRow).where(*_IS_IT)
_REVISION = select(RevisionRow.version, RevisionRow.deleted).where(_IS_OURS)
_NEXT = (
    update(RevisionRow)
    .where(_IS_OURS)
    .values(version=RevisionRow.version + 1)
    .returning(RevisionRow.version)
)
_NEXT_DELETION = (
    update(RevisionRow)
    .where(_IS_OURS)
    .values(version=RevisionRow.version + 1, deleted=RevisionRow.version + 1)
)
_CHANGED = select(PreferenceRow.tenant, PreferenceRow.user_id).where(
    PreferenceRow.version > bindparam("since")
)


class SqlPreferences:
    """The preferences of all users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, tenant: str, user_id: str) -> Wishes | None:
        """Return a user's preferences."""
        user = {"of_tenant": tenant, "of_user": user_id}
        row = self._connection.execute(_OF, user).one_or_none()
        return None if row is None else Wishes(**row._mapping)  # noqa: SLF001 - public

    def put(self, tenant: str, user_id: str, wishes: Wishes, *, at: datetime) -> None:
        """Replace a user's preferences."""
        dialect = sqlite if self._connection.dialect.name == "sqlite" else postgresql
        facts = {
            "provider": wishes.provider,
            "model": wishes.model,
            "instructions": wishes.instructions,
            "max_output_tokens": wishes.max_output_tokens,
            "version": self._connection.execute(_NEXT).scalar_one(),
            "updated_at": at,
        }
        self._connection.execute(
            dialect.insert(PreferenceRow)
            .values(tenant=tenant, user_id=user_id, **facts)
            .on_conflict_do_update(
                index_elements=[PreferenceRow.tenant, PreferenceRow.user_id], set_=facts
            )
        )

    def remove(self, tenant: str, user_id: str) -> bool:
        """Delete a user's preferences; False where there are none."""
        self._connection.execute(_NEXT_DELETION)
        user = {"of_tenant": tenant, "of_user": user_id}
        return self._connection.execute(_REMOVE, user).rowcount == 1

    def news(self, since: int | None) -> PreferenceNews:
        """Return what has changed after version `since`; without one, only the version."""
        revision = self._connection.execute(_REVISION).one()
        if since is None or revision.version == since:
            return PreferenceNews(version=revision.version, users=(), is_all=False)
        rows = self._connection.execute(_CHANGED, {"since": since})
        return PreferenceNews(
            version=revision.version,
            users=[(row.tenant, row.user_id) for row in rows],
            is_all=revision.deleted > since,
        )
