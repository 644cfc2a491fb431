"""Who is calling: all keys, held in memory, since a cache hit cannot afford to look one up.

What is held is checked twice a second: a key that is made, rotated or revoked anywhere is so in
all processes within a second.
"""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from hmac import compare_digest

from askonce.core.access import Caller, Operator, Role
from askonce.core.clock import Clock
from askonce.core.errors import DatabaseUnavailableError, UnauthenticatedError
from askonce.core.keys import Key, digest_of
from askonce.core.ports import Database
from askonce.telemetry import log

_ROUND_SECONDS = 0.5
# In a row: then nobody knows any more which keys were revoked. It takes the database 2 s to be
# away so often, or 15 s where it lets each of them wait.
_MOST_FAILURES = 4


@dataclass(frozen=True, slots=True)
class _Held:
    """A key that is good, until a moment or until it is forgotten."""

    key_id: int | None
    tenant: str
    role: Role
    user_id: str | None
    digest: bytes = field(repr=False)
    until: datetime | None = None


class Access:
    """Knows callers by their keys.

    Without any key in the database callers need none where only this machine can reach the
    process (`is_loopback`), and there are no callers elsewhere. Where there is an `operator`, a
    command on the database has this process for itself: nobody goes without a key.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        is_loopback: bool,
        operator: Operator | None = None,
        seconds: float = _ROUND_SECONDS,
    ) -> None:
        self._database = database
        self._clock = clock
        self._is_loopback = is_loopback and operator is None
        self._seconds = seconds
        # Whether a key was ever made; until we have looked, nobody may go without.
        self._is_any = True
        self._operators = _operators(operator)
        self._held = self._operators
        self._version: int | None = None
        self._failures = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access", daemon=True)

    def start(self) -> None:
        self._refresh()
        if self.is_keyless:
            log.warning("callers_need_no_key", until="askonce keys create NAME")
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_keyless(self) -> bool:
        """Whether callers on this machine need no key, as there is none."""
        return self._is_loopback and not self._is_any

    def caller(self, key: bytes | None, request_id: str) -> Caller:
        """Return who sent a request with this key, or with none.

        Raises:
            UnauthenticatedError: the key is not good, or one is needed.
            DatabaseUnavailableError: it is not known any more which keys are good.
        """
        if self._failures >= _MOST_FAILURES:
            raise DatabaseUnavailableError
        if key is None and self.is_keyless:
            return Caller(request_id=request_id)
        held = None if key is None else self._known(digest_of(key))
        if held is None:
            raise UnauthenticatedError
        return Caller(
            tenant=held.tenant,
            role=held.role,
            user_id=held.user_id,
            key_id=held.key_id,
            request_id=request_id,
        )

    def _known(self, digest: bytes) -> _Held | None:
        held = self._held.get(digest)
        if held is None or not compare_digest(held.digest, digest):
            return None
        is_over = held.until is not None and held.until <= self._clock.now()
        return None if is_over else held

    def _run(self) -> None:
        while not self._is_over.wait(self._seconds):
            try:
                self._refresh()
            except Exception as error:  # noqa: BLE001 - without this thread nothing would be noticed
                self._failures += 1
                log.warning("keys_not_refreshed", error=type(error).__name__)

    def _refresh(self) -> None:
        with self._database.reading() as tx:
            news = tx.keys.news(self._version)
        if news.is_all or news.keys:
            changed = {key.id for key in news.keys}
            kept = {} if news.is_all else self._held
            held = {digest: one for digest, one in kept.items() if one.key_id not in changed}
            held |= self._operators
            held |= {one.digest: one for key in news.keys for one in _texts(key)}
            self._held = held
            self._is_any = bool(news.keys) or (self._is_any and not news.is_all)
        self._version = news.version
        self._failures = 0


def _operators(operator: Operator | None) -> dict[bytes, _Held]:
    """Return what is held for as long as the process lives, whatever the database has."""
    if operator is None:
        return {}
    digest = operator.digest
    return {digest: _Held(None, operator.tenant, Role.ADMIN, None, digest)}


def _texts(key: Key) -> list[_Held]:
    """Return the texts under which a key is good: two, for a while, after it was rotated."""
    if key.revoked_at is not None:
        return []
    facts = (key.id, key.tenant, key.role, key.user_id)
    texts = [_Held(*facts, key.digest)]
    if key.previous_digest is not None:
        texts.append(_Held(*facts, key.previous_digest, key.previous_until))
    return texts
