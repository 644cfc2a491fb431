"""Known bugs of flight protocols, planted on purpose: the simulation must find each of them."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, exists, select, update

from askonce.core.caching import Accepted
from askonce.core.flights import (
    FlightState,
    Lease,
    LeaseTimes,
    Observation,
    Seen,
    Verdict,
    first_epoch,
)
from askonce.db.analyses import SqlAnalyses
from askonce.db.flights import SqlFlights
from askonce.db.rows import AnalysisRow, AnswerRow, FlightRow
from askonce.services.watch import Followed
from tests.simulation.parts import SimulatedWatch
from tests.simulation.server import Parts

_RUNNING = FlightRow.state == FlightState.RUNNING.value


class WithoutFence(SqlFlights):
    """A takeover leaves the fencing token as it is: the old leader still seems to lead."""

    def take_over(self, fingerprint: bytes, seen: Seen, *, owner: str) -> Lease | None:
        taken = self._connection.execute(
            update(FlightRow)
            .where(
                FlightRow.fingerprint == fingerprint,
                _RUNNING,
                FlightRow.fence == seen.fence,
                FlightRow.beat == seen.beat,
            )
            .values(beat=0, owner=owner, takeovers=FlightRow.takeovers + 1)
        )
        if taken.rowcount != 1:
            return None
        return Lease(fingerprint=fingerprint, epoch=seen.epoch, fence=seen.fence)


class WithoutCompareAndSwap(SqlFlights):
    """A takeover does not look whether the leader is still the silent one that was seen."""

    def take_over(self, fingerprint: bytes, seen: Seen, *, owner: str) -> Lease | None:
        del seen
        row = self._connection.execute(
            update(FlightRow)
            .where(FlightRow.fingerprint == fingerprint, _RUNNING)
            .values(
                fence=FlightRow.fence + 1, beat=0, owner=owner, takeovers=FlightRow.takeovers + 1
            )
            .returning(FlightRow.epoch, FlightRow.fence)
        ).one_or_none()
        if row is None:
            return None
        return Lease(fingerprint=fingerprint, epoch=row.epoch, fence=row.fence)


class ObservationWithOneProbe(Observation):
    """One probe proves that the database takes writes: also while it comes back for a moment."""

    def __init__(self, times: LeaseTimes, monotonic: Callable[[], float]) -> None:
        super().__init__(times, monotonic)
        self._patience = times
        self._clock = monotonic
        self._sign: tuple[int, int] | None = None
        self._silent_since = 0.0
        self._probed: float | None = None

    def judge(self, seen: Seen) -> Verdict:
        now = self._clock()
        if (seen.fence, seen.beat) != self._sign:
            self._sign, self._silent_since, self._probed = (seen.fence, seen.beat), now, None
            return Verdict.WAIT
        if self._probed is not None:
            is_over = now - self._probed >= self._patience.grace
            return Verdict.TAKE_OVER if is_over else Verdict.WAIT
        is_silent = now - self._silent_since >= self._patience.lease
        return Verdict.PROBE if is_silent else Verdict.WAIT

    def probed(self) -> None:
        self._probed = self._clock()

    def start_again(self) -> None:
        self._sign = self._probed = None


class WatchWithOneProbe(SimulatedWatch):
    def follow(self, followed: Followed) -> None:
        super().follow(followed)
        followed.observation = ObservationWithOneProbe(self._times, self._clock.monotonic)


class HastyObservation(Observation):
    """Silence alone is taken for death: a stalled database looks like a dead leader."""

    def judge(self, seen: Seen) -> Verdict:
        verdict = super().judge(seen)
        return Verdict.TAKE_OVER if verdict is Verdict.PROBE else verdict


class WatchWithoutProbe(SimulatedWatch):
    def follow(self, followed: Followed) -> None:
        super().follow(followed)
        followed.observation = HastyObservation(self._times, self._clock.monotonic)


class PurgeByDeletion(SqlAnalyses):
    """Deleting an answer takes the flight's row away, and the epoch and the fence with it."""

    def _remove_unused(self, answer_id: int) -> None:
        is_used = select(exists().where(AnalysisRow.answer_id == answer_id))
        if self._connection.execute(is_used).scalar_one():
            return
        self._connection.execute(delete(FlightRow).where(FlightRow.answer_id == answer_id))
        self._connection.execute(delete(AnswerRow).where(AnswerRow.id == answer_id))


class CountingFromOne(SqlFlights):
    """A question's row starts at one, also where it had a row before."""

    def claim(
        self, fingerprint: bytes, *, tenant: str, owner: str, accepted: Accepted
    ) -> Lease | None:
        lease = super().claim(fingerprint, tenant=tenant, owner=owner, accepted=accepted)
        if lease is None or lease.epoch != first_epoch(accepted.now):
            return lease
        self._connection.execute(
            update(FlightRow).where(FlightRow.fingerprint == fingerprint).values(epoch=1, fence=1)
        )
        return Lease(fingerprint=fingerprint, epoch=1, fence=1)


class LandingInAnyEpoch(SqlFlights):
    """An answer is kept in whatever epoch the flight is by now."""

    def land(
        self, lease: Lease, *, answer_id: int, stored_at: datetime, expires_at: datetime
    ) -> bool:
        landed = self._connection.execute(
            update(FlightRow)
            .where(FlightRow.fingerprint == lease.fingerprint)
            .values(
                state=FlightState.DONE.value,
                answer_id=answer_id,
                stored_at=stored_at,
                expires_at=expires_at,
                failure=None,
            )
        )
        return landed.rowcount == 1


PLANTED = {
    "no fence": Parts(flights=WithoutFence),
    "takeover without compare-and-swap": Parts(flights=WithoutCompareAndSwap),
    "no probe phase": Parts(watch=WatchWithoutProbe),
    "one probe only": Parts(watch=WatchWithOneProbe),
    "purge by deleting the row": Parts(flights=CountingFromOne, analyses=PurgeByDeletion),
    "landing that ignores the epoch": Parts(flights=LandingInAnyEpoch),
}
