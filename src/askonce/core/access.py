"""Who is asking, and what they may reach."""

from dataclasses import dataclass, field

from askonce.core.idempotency import IdempotencyKey

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request. Everything that is read or written stays inside `tenant`."""

    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The user in whose history an analysis is written, once for each idempotency key."""

    tenant: str
    user_id: str
    key: IdempotencyKey | None = field(default=None, repr=False)
