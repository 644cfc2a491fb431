"""Virtual time, and the one queue of everything that is going to happen."""

import heapq
import random
from collections.abc import Callable
from itertools import count
from typing import Protocol

# Two things that may happen at the same time happen in a random order.
_JITTER_SECONDS = 0.0005


class Host(Protocol):
    """Whose event it is: a frozen process defers its events, a dead one drops them."""

    is_dead: bool
    is_frozen: bool

    def defer(self, action: Callable[[], object]) -> None: ...


class World:
    """The seeded scheduler. Everything random is drawn from `random`, in the order of events."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self._order = count()
        self._limit = 0.0
        self._agenda: list[tuple[float, int, Host | None, Callable[[], object]]] = []

    def after(self, seconds: float, action: Callable[[], object], host: Host | None = None) -> None:
        """Let something happen, in the context of a process where it is one's."""
        heapq.heappush(self._agenda, (self.now + seconds, next(self._order), host, action))

    def soon(self, action: Callable[[], object], host: Host | None = None) -> None:
        """Let something happen as soon as its thread gets its turn."""
        self.after(self.random.random() * _JITTER_SECONDS, action, host)

    def skip(self, seconds: float) -> bool:
        """Let time pass at once, if nothing else is going to happen within it."""
        then = self.now + seconds
        if then > self._limit or (self._agenda and self._agenda[0][0] <= then):
            return False
        self.now = then
        return True

    def run(self, *, until: Callable[[], bool], limit: float) -> bool:
        """Let things happen in order; False when `limit` comes before `until` holds."""
        self._limit = limit
        while not until():
            if not self._agenda or self._agenda[0][0] > limit:
                self.now = limit
                return False
            self.now, _, host, action = heapq.heappop(self._agenda)
            if host is None:
                action()
            elif host.is_dead:
                continue
            elif host.is_frozen:
                host.defer(action)
            else:
                action()
        return True
