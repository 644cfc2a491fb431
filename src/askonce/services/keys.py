"""Making, listing, rotating and revoking keys, straight in the database."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from askonce.core.access import TENANT_NAME, Role
from askonce.core.clock import Clock
from askonce.core.errors import ConflictError, FieldError, InvalidFieldsError, NotFoundError
from askonce.core.events import Action, Event
from askonce.core.keys import RANDOM_BYTES, SHOWN_CHARACTERS, Key, NewKey, digest_of, text_of
from askonce.core.ports import Database, Transaction

_NAME = re.compile(r"[A-Za-z0-9._@:+-]{1,64}")
_USER = re.compile(r"[A-Za-z0-9._@:+-]{1,128}")
_CHARACTERS = "characters of A-Z a-z 0-9 . _ @ : + -"
LONGEST_GRACE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Made:
    """A key that was just made or rotated; its `text` is known only now."""

    key: Key
    text: str = field(repr=False)


class Keys:
    """What an operator does with keys. `random_bytes` gives so many bytes that nobody can guess."""

    def __init__(
        self, *, database: Database, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes

    def create(self, name: str, *, tenant: str, role: Role, user_id: str | None = None) -> Made:
        """Make a key. Only one of the role `USER` has a `user_id`.

        Raises:
            InvalidFieldsError: something is not called as it may be.
            ConflictError: a key of that name is good already.
        """
        _check(name, tenant, user_id)
        text = self._text()
        new = NewKey(
            tenant=tenant,
            name=name,
            role=role,
            user_id=user_id,
            digest=digest_of(text.encode()),
            shown=text[:SHOWN_CHARACTERS],
        )
        with self._database.transaction() as tx:
            tx.keys.hold()
            if tx.keys.named(tenant, name) is not None:
                raise ConflictError
            key = tx.keys.add(new, at=self._clock.now())
            self._book(tx, Action.KEYS_CREATE, key)
            return Made(key, text)

    def all(self, tenant: str | None = None) -> Sequence[Key]:
        """Return all keys, or those of a tenant, the oldest first, revoked ones included."""
        with self._database.reading() as tx:
            return tx.keys.all(tenant)

    def is_any(self) -> bool:
        """Return whether a key was ever made: then each caller needs one."""
        with self._database.reading() as tx:
            return tx.keys.is_any()

    def rotate(self, name_or_id: str, *, tenant: str, grace: timedelta) -> Made:
        """Give a key another text; the text that it had stays good for `grace`.

        One that it had before that is good no more. Everything else stays: the key's id, and so
        what was limited, counted and remembered for it.

        Raises:
            NotFoundError: no key that is good is called so.
            InvalidFieldsError: the grace is negative or too long.
        """
        if not timedelta(0) <= grace <= LONGEST_GRACE:
            message = f"0 to {int(LONGEST_GRACE.total_seconds())} seconds"
            raise InvalidFieldsError(FieldError("grace", message))
        text = self._text()
        with self._database.transaction() as tx:
            tx.keys.hold()
            now = self._clock.now()
            key = tx.keys.rotate(
                _found(tx, name_or_id, tenant),
                digest=digest_of(text.encode()),
                shown=text[:SHOWN_CHARACTERS],
                previous_until=now + grace if grace else None,
                at=now,
            )
            self._book(tx, Action.KEYS_ROTATE, key)
        return Made(key, text)

    def revoke(self, name_or_id: str, *, tenant: str) -> Key:
        """Make a key good no more, in all processes within a second.

        Raises:
            NotFoundError: no key that is good is called so.
        """
        with self._database.transaction() as tx:
            tx.keys.hold()
            key = tx.keys.revoke(_found(tx, name_or_id, tenant), at=self._clock.now())
            self._book(tx, Action.KEYS_REVOKE, key)
            return key

    def _book(self, tx: Transaction, action: Action, key: Key) -> None:
        facts: dict[str, int | str] = {"key": key.id, "role": key.role.value}
        tx.book(
            Event(
                at=self._clock.now(),
                tenant=key.tenant,
                action=action,
                user_id=key.user_id,
                about=facts,
            )
        )

    def _text(self) -> str:
        return text_of(self._random_bytes(RANDOM_BYTES))


def _found(tx: Transaction, name_or_id: str, tenant: str) -> Key:
    """Return a key that is good; no name is a number, so that no id is somebody's name."""
    is_id = re.fullmatch("[0-9]{1,18}", name_or_id) is not None
    key = tx.keys.by_id(int(name_or_id)) if is_id else tx.keys.named(tenant, name_or_id)
    if key is None:
        raise NotFoundError
    return key


def _check(name: str, tenant: str, user_id: str | None) -> None:
    errors = []
    if not _NAME.fullmatch(name) or name.isdecimal():
        errors.append(FieldError("NAME", f"1 to 64 {_CHARACTERS}, and not a number"))
    if not TENANT_NAME.fullmatch(tenant):
        errors.append(FieldError("--tenant", f"1 to 64 {_CHARACTERS}"))
    if user_id is not None and not _USER.fullmatch(user_id):
        errors.append(FieldError("--user", f"1 to 128 {_CHARACTERS}"))
    if errors:
        raise InvalidFieldsError(*errors)
