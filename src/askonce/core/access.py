"""Who is asking, and what they may reach."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from askonce.core.conversations import Turn
from askonce.core.errors import ForbiddenError
from askonce.core.idempotency import IdempotencyKey

DEFAULT_TENANT = "default"
TENANT_NAME = re.compile(r"[A-Za-z0-9._@:+-]{1,64}")


class Role(StrEnum):
    """What a key is good for."""

    # One user of its tenant alone.
    USER = "user"
    # All users of its tenant.
    SERVICE = "service"
    # As a service, and the audit trail and the keys of its tenant.
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request. Everything that is read or written stays inside `tenant`.

    `key_id` is None where no key is asked for, which is on a loopback address alone, and for an
    operator. `user_id` is the only user that a caller of the role `USER` reaches.
    """

    tenant: str = DEFAULT_TENANT
    role: Role = Role.ADMIN
    user_id: str | None = None
    key_id: int | None = None
    request_id: str = ""

    @property
    def only_user(self) -> str | None:
        """The one user whom the caller reaches; None: all users of the tenant."""
        # Nobody is called "": a key that lost its user reaches nobody.
        return (self.user_id or "") if self.role is Role.USER else None

    def reaches(self, user_id: str) -> bool:
        """Return whether a user of the caller's tenant is within the caller's reach."""
        return self.role is not Role.USER or user_id == self.user_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Whoever works on the database itself, by a command: an admin of one tenant.

    The key behind the `digest` is made by one process for itself, and is never written anywhere.
    """

    tenant: str
    digest: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The user in whose history an analysis is written, once for each idempotency key.

    Where there is a `turn`, what a model says is written there instead. `key_id` and `request_id`
    are those of the caller who asked. `era` is the user's when the request began, as in
    `core/erasure.py`; None while a first look at the cache may still make an end of it.
    """

    tenant: str
    user_id: str
    key_id: int | None = None
    request_id: str = ""
    key: IdempotencyKey | None = field(default=None, repr=False)
    turn: Turn | None = None
    era: int | None = None

    @classmethod
    def of(
        cls,
        caller: Caller,
        user_id: str,
        *,
        key: IdempotencyKey | None = None,
        turn: Turn | None = None,
    ) -> "Asker":
        """Return a user of the caller's tenant, for whom the caller asks.

        Raises:
            ForbiddenError: it is not for the caller to ask for that user.
        """
        if not caller.reaches(user_id):
            raise ForbiddenError
        return cls(
            tenant=caller.tenant,
            user_id=user_id,
            key_id=caller.key_id,
            request_id=caller.request_id,
            key=key,
            turn=turn,
        )

    @property
    def is_plain(self) -> bool:
        """Whether any number of such askers can be given something at once."""
        return self.key is None and self.turn is None
