"""Lets browsers in: a key is shown once, then a random token stands for it, for a while.

A token that is stolen ends by itself, and with its key; it opens the console and no other door.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from askonce.core.access import Caller
from askonce.core.clock import Clock
from askonce.core.errors import OverloadedError, RateLimitedError, UnauthenticatedError
from askonce.core.events import Action
from askonce.core.keys import digest_of
from askonce.core.ports import Database, Ledger, Transaction
from askonce.core.sign_ins import IDLE, SignIn
from askonce.services.access import Access
from askonce.services.booking import done
from askonce.telemetry import log

# Of one key. Who signs in once more has the oldest one forgotten.
_MOST_BROWSERS = 20
# In this process, from wherever they come: addresses can be shared, or made up.
_MOST_FAILURES = 30
_FAILURES_WINDOW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class LetIn:
    """Who is signed in from now on with `token`, which is known only now."""

    caller: Caller
    token: str = field(repr=False)


class SignInService:
    """Signs browsers in and out. `new_token` makes ASCII texts that nobody can guess."""

    def __init__(
        self,
        *,
        access: Access,
        database: Database,
        ledger: Ledger,
        clock: Clock,
        new_token: Callable[[], str],
    ) -> None:
        self._access = access
        self._database = database
        self._ledger = ledger
        self._clock = clock
        self._new_token = new_token
        self._failures: deque[datetime] = deque(maxlen=_MOST_FAILURES)

    @property
    def is_keyless(self) -> bool:
        """Whether nobody needs to sign in, as there is no key."""
        return self._access.is_keyless

    def sign_in(self, key: bytes, request_id: str) -> LetIn:
        """Let a browser in that shows a key.

        A good key is let in however many wrong ones came before: nobody can lock others out.

        Raises:
            UnauthenticatedError: the key is not good.
            RateLimitedError: nor is it, and there were many of that kind lately.
            DatabaseUnavailableError: it is not known which keys are good, or nothing was written.
        """
        digest = digest_of(key)
        now = self._clock.now()
        try:
            caller = self._access.caller_of(digest, request_id)
        except UnauthenticatedError:
            self._count_failure(now, request_id)
            raise
        key_id = caller.key_id
        assert key_id is not None  # noqa: S101 - whoever is known by a digest has a key
        token = self._new_token()
        sign_in = SignIn(
            digest=digest_of(token.encode()),
            tenant=caller.tenant,
            key_id=key_id,
            key_digest=digest,
            user_id=caller.user_id,
            created_at=now,
            expires_at=now + IDLE,
        )

        def let_in(tx: Transaction) -> None:
            tx.sign_ins.add(sign_in)
            tx.sign_ins.remove_all_but_newest(sign_in.key_id, kept=_MOST_BROWSERS)
            event = done(caller, Action.CONSOLE_SIGN_IN, at=now, user_id=caller.user_id)
            tx.book(event)

        self._ledger.write(let_in).result()
        return LetIn(caller, token)

    def caller(self, token: str, request_id: str, *, is_used: bool = True) -> Caller:
        """Return who is signed in with a token, and note now and then that it is used.

        What a page asks for by itself is no use: who has gone is signed out in time.

        Raises:
            UnauthenticatedError: nobody is, or the key that was shown is good no more.
            DatabaseUnavailableError: the database did not answer in time.
        """
        digest = digest_of(token.encode())
        now = self._clock.now()
        with self._database.reading() as tx:
            found = tx.sign_ins.one(digest)
        if found is None or found.is_over(now):
            raise UnauthenticatedError
        caller = self._access.caller_of(found.key_digest, request_id)
        later = found.expiry_after_use(now) if is_used else None
        if later is not None:
            # Nobody waits for it: where it cannot be written now, the next use will be noted.
            with suppress(OverloadedError):
                self._ledger.write(lambda tx: tx.sign_ins.extend(digest, expires_at=later))
        return caller

    def sign_out(self, token: str, caller: Caller) -> None:
        """Forget a browser; one that is not known is no error."""
        digest = digest_of(token.encode())

        def forget(tx: Transaction) -> None:
            if tx.sign_ins.remove(digest):
                now = self._clock.now()
                tx.book(done(caller, Action.CONSOLE_SIGN_OUT, at=now, user_id=caller.user_id))

        self._ledger.write(forget).result()

    def _count_failure(self, now: datetime, request_id: str) -> None:
        if len(self._failures) == _MOST_FAILURES:
            wait = self._failures[0] + _FAILURES_WINDOW - now
            if wait > timedelta():
                seconds = max(1, ceil(wait.total_seconds()))
                raise RateLimitedError(retry_after=seconds, quotas=())
        self._failures.append(now)
        log.warning("sign_in_refused", request_id=request_id)
