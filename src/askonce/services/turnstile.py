"""Lets one turn of each session through at a time, here and in all other processes.

The right to take a turn is a lease in the flight table, under a key that no question has: so it is
shown to be alive, suspected and taken over by the same rules. It keeps turns from waiting in vain
for each other; that no reply lands in the wrong place is seen to where replies are written.
"""

import hashlib
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial

from askonce.core.caching import NEVER, Accepted
from askonce.core.clock import Clock, Deadline
from askonce.core.errors import ConflictError, OverloadedError
from askonce.core.flights import Lease, Seen
from askonce.core.ports import Ledger, Transaction
from askonce.services.heartbeat import Heartbeat
from askonce.services.recovery import Recovery
from askonce.services.watch import Followed, News, Watch

_MOST_WAITING = 100


@dataclass(slots=True, kw_only=True)
class _Waiting:
    """Somebody who wants to take a turn."""

    key: bytes
    tenant: str
    deadline: Deadline
    timer: threading.Timer | None = None
    admitted: "Future[Lease]" = field(default_factory=Future)


class Turnstile:
    """The queues of this process, one for each session that anybody speaks in."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        watch: Watch,
        heartbeat: Heartbeat,
        recovery: Recovery,
        clock: Clock,
        owner: str,
    ) -> None:
        self._ledger = ledger
        self._watch = watch
        self._heartbeat = heartbeat
        self._recovery = recovery
        self._clock = clock
        self._owner = owner
        self._queues: dict[bytes, deque[_Waiting]] = {}
        self._lock = threading.Lock()

    def enter(self, tenant: str, session_id: int, deadline: Deadline) -> "Future[Lease]":
        """Return the future right to take the next turn; `leave` gives it back.

        It raises `ConflictError` where the turns before take until the deadline. It resolves in a
        thread that must not wait for anything.
        """
        waiting = _Waiting(key=_key(tenant, session_id), tenant=tenant, deadline=deadline)
        with self._lock:
            queue = self._queues.setdefault(waiting.key, deque())
            if len(queue) >= _MOST_WAITING:
                waiting.admitted.set_exception(ConflictError())
                return waiting.admitted
            queue.append(waiting)
            is_first = len(queue) == 1
        if is_first:
            self._claim(waiting)
        else:
            self._set_timer(waiting)
        return waiting.admitted

    def leave(self, lease: Lease) -> None:
        """Let the next one in."""
        self._heartbeat.stop(lease.fingerprint)

        def end(tx: Transaction) -> bool:
            return tx.flights.fail(lease, failure=None)

        def ended(done: "Future[bool]") -> None:
            if done.exception() is not None:
                self._recovery.settle_later(end)

        try:
            self._ledger.write(end, key=lease.fingerprint).add_done_callback(ended)
        except OverloadedError:
            self._recovery.settle_later(end)
        self._advance(lease.fingerprint)

    def is_empty(self) -> bool:
        return not self._queues

    def _claim(self, waiting: _Waiting) -> None:
        """Take the lease where nobody has it; else wait for whoever has."""
        if waiting.deadline.has_passed():
            self._refuse(waiting, ConflictError())
            return
        # A turn leaves no entry that could be accepted.
        accepted = Accepted(now=self._clock.now(), stored_after=NEVER)

        def claim(tx: Transaction) -> Lease | Seen | None:
            lease = tx.flights.claim(
                waiting.key, tenant=waiting.tenant, owner=self._owner, accepted=accepted
            )
            return lease or tx.flights.read([waiting.key]).get(waiting.key)

        try:
            claimed = self._ledger.write(claim, key=waiting.key)
        except OverloadedError as error:
            self._refuse(waiting, error)
        else:
            claimed.add_done_callback(partial(self._claimed, waiting))

    def _claimed(self, waiting: _Waiting, done: "Future[Lease | Seen | None]") -> None:
        error = done.exception()
        if error is not None:
            self._refuse(waiting, error)
            return
        match done.result():
            case Lease() as lease:
                self._heartbeat.start(lease.fingerprint)
                waiting.admitted.set_result(lease)
            case Seen() as seen:
                self._follow(waiting, seen)
            case None:
                self._claim(waiting)

    def _follow(self, waiting: _Waiting, seen: Seen) -> None:
        def on_news(news: News, row: Seen | None) -> None:
            if news is News.LATE:
                self._refuse(waiting, ConflictError())
            elif news is News.OVER or row is None:
                self._claim(waiting)
            else:
                # However often leaders died here: nothing is bought by taking a turn.
                self._take_over(waiting, row)

        self._watch.follow(
            Followed(
                fingerprint=waiting.key,
                epoch=seen.epoch,
                deadline=waiting.deadline,
                on_news=on_news,
            )
        )

    def _take_over(self, waiting: _Waiting, seen: Seen) -> None:
        def take_over(tx: Transaction) -> Lease | Seen | None:
            return tx.flights.take_over(waiting.key, seen, owner=self._owner)

        try:
            taken = self._ledger.write(take_over, key=waiting.key)
        except OverloadedError as error:
            self._refuse(waiting, error)
        else:
            taken.add_done_callback(partial(self._claimed, waiting))

    def _refuse(self, waiting: _Waiting, error: BaseException) -> None:
        self._advance(waiting.key)
        waiting.admitted.set_exception(error)

    def _advance(self, key: bytes) -> None:
        """Let the next one claim, now that the first is through."""
        with self._lock:
            queue = self._queues[key]
            queue.popleft()
            if not queue:
                del self._queues[key]
                return
            first = queue[0]
            if first.timer is not None:
                first.timer.cancel()
        self._claim(first)

    def _set_timer(self, waiting: _Waiting) -> None:
        seconds = max(0.0, waiting.deadline.remaining())
        waiting.timer = threading.Timer(seconds, self._expire, [waiting])
        waiting.timer.daemon = True
        waiting.timer.start()

    def _expire(self, waiting: _Waiting) -> None:
        """Let nobody wait for longer than anybody waits for the answer."""
        with self._lock:
            queue = self._queues.get(waiting.key, deque())
            if waiting not in list(queue)[1:]:
                return
            queue.remove(waiting)
        waiting.admitted.set_exception(ConflictError())


def _key(tenant: str, session_id: int) -> bytes:
    """Return the key of a session's turns; what it is made of is no question's canonical JSON."""
    return hashlib.sha256(f"turns of session {session_id} of {tenant}".encode()).digest()
