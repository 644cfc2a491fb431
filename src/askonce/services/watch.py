"""Waits for answers that other processes are paying for, and replaces leaders that died."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from askonce.core.clock import Clock, Deadline
from askonce.core.errors import AskonceError
from askonce.core.flights import (
    MAX_TAKEOVERS,
    FlightState,
    LeaseTimes,
    Observation,
    Seen,
    Verdict,
)
from askonce.core.ports import Database, Ledger, Liveness
from askonce.telemetry import log

# Each flight is looked at more and more seldom, so that its answer comes at most this late.
_SOONEST_SECONDS = 0.004
_LATEST_SECONDS = 0.05
_SLOWDOWN = 1.5
# Where very many are followed, less often: to look at one takes 10 us of the processor.
_LATEST_SECONDS_PER_FLIGHT = 0.0001


class News(Enum):
    """Why a follower is called back; it is no longer followed then."""

    # The flight is over, one way or another: its row says how.
    OVER = auto()
    # The leader is dead: lead in its place, if nobody else does.
    LEADERLESS = auto()
    # Its leaders keep dying.
    HOPELESS = auto()
    # The follower's own time is up.
    LATE = auto()


@dataclass(slots=True, kw_only=True)
class Followed:
    """One flight that is led elsewhere."""

    fingerprint: bytes
    epoch: int
    deadline: Deadline
    on_news: Callable[[News, Seen | None], None]
    observation: Observation = field(init=False)
    wait: float = field(default=_SOONEST_SECONDS, init=False)
    next_look: float = field(default=0.0, init=False)


class Watch:
    """One thread that reads the rows of all followed flights at once."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        liveness: Liveness,
        times: LeaseTimes,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._liveness = liveness
        self._times = times
        self._clock = clock
        self._followed: dict[bytes, Followed] = {}
        self._lock = threading.Lock()
        self._has_work = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def follow(self, followed: Followed) -> None:
        """Call `on_news` once, in the watch's own thread, when there is any."""
        followed.observation = Observation(self._times, self._clock.monotonic)
        with self._lock:
            self._followed[followed.fingerprint] = followed
        self._has_work.set()

    def close(self) -> None:
        self._is_closing = True
        self._has_work.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._is_closing:
            with self._lock:
                followed = list(self._followed.values())
            if not followed:
                self._has_work.wait()
                self._has_work.clear()
                continue
            now = self._clock.monotonic()
            due = [one for one in followed if one.next_look <= now]
            if due:
                self._look(due)
            latest = max(_LATEST_SECONDS, len(followed) * _LATEST_SECONDS_PER_FLIGHT)
            for one in due:
                one.next_look = now + one.wait
                one.wait = min(one.wait * _SLOWDOWN, latest)
            soonest = min(one.next_look for one in followed) - now
            self._clock.sleep(max(soonest, _SOONEST_SECONDS))

    def _look(self, followed: list[Followed]) -> None:
        try:
            with self._database.reading() as tx:
                rows = tx.flights.read([one.fingerprint for one in followed])
        except Exception as error:  # noqa: BLE001 - without this thread nobody would be followed
            if not isinstance(error, AskonceError):
                log.error("watch_failed", error=type(error).__name__)
            for one in followed:
                one.observation.start_again()
                if one.deadline.has_passed():
                    self._report(one, News.LATE, None)
            return
        for one in followed:
            try:
                self._consider(one, rows.get(one.fingerprint))
            except AskonceError:
                one.observation.start_again()
            except Exception as error:  # noqa: BLE001 - all others are still to be watched
                log.error("watch_failed", error=type(error).__name__)
                one.observation.start_again()

    def _consider(self, one: Followed, seen: Seen | None) -> None:
        if seen is None or seen.state is not FlightState.RUNNING:
            self._report(one, News.OVER, seen)
            return
        one.epoch = seen.epoch
        if one.deadline.has_passed():
            self._report(one, News.LATE, seen)
            return
        verdict = (
            Verdict.TAKE_OVER if self._liveness.is_dead(seen.owner) else one.observation.judge(seen)
        )
        if verdict is Verdict.PROBE and self._probed(one, seen):
            one.observation.probed()
        if verdict is Verdict.TAKE_OVER:
            log.warning("leader_found_dead", owner=seen.owner, takeovers=seen.takeovers)
            is_hopeless = seen.takeovers >= MAX_TAKEOVERS
            self._report(one, News.HOPELESS if is_hopeless else News.LEADERLESS, seen)

    def _probed(self, one: Followed, seen: Seen) -> bool:
        return self._ledger.write(
            lambda tx: tx.flights.probe(one.fingerprint, seen), key=one.fingerprint
        ).result()

    def _report(self, one: Followed, news: News, seen: Seen | None) -> None:
        with self._lock:
            self._followed.pop(one.fingerprint, None)
        one.on_news(news, seen)
