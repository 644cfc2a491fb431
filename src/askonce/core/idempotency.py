"""A client's word that two requests are one (draft-ietf-httpapi-idempotency-key-header)."""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, auto

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A key as we keep it: where it counts, and which request it was sent with.

    Both are SHA-256, so that nothing that a client sent is kept.
    """

    scope: bytes
    digest: bytes

    @classmethod
    def of(
        cls, key: str, *, tenant: str, key_id: int | None, path: str, body: object
    ) -> "IdempotencyKey":
        """Return the key of whoever has the API key `key_id`; the body's spelling does not count.

        Callers who need no API key are one caller.
        """
        caller = (tenant,) if key_id is None else (tenant, key_id)
        return cls(scope=_sha256(*caller, key), digest=_sha256(path, body))


class Repeat(Enum):
    """Why a request cannot be answered with anything, before or after its key is looked at."""

    # It came with another request before.
    MISMATCH = auto()
    # What it gave has been deleted since.
    DELETED = auto()
    # The session that it is about does not exist any more.
    GONE = auto()
    # Something was said in the session that it does not know of.
    MOVED_ON = auto()
    # Its user has been erased since it began.
    ERASED = auto()


def _sha256(*facts: object) -> bytes:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).digest()
