"""Who is asking, and what they may reach."""

from dataclasses import dataclass, field

from askonce.core.conversations import Turn
from askonce.core.idempotency import IdempotencyKey

DEFAULT_TENANT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever sent a request. Everything that is read or written stays inside `tenant`."""

    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The user in whose history an analysis is written, once for each idempotency key.

    Where there is a `turn`, what a model says is written there instead.
    """

    tenant: str
    user_id: str
    key: IdempotencyKey | None = field(default=None, repr=False)
    turn: Turn | None = None

    @property
    def is_plain(self) -> bool:
        """Whether any number of such askers can be given something at once."""
        return self.key is None and self.turn is None
