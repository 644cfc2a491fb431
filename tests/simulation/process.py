"""One simulated process: it can be killed, frozen, cut off, and its threads are tasks."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from tests.simulation.history import CameBack, Died, Event, History, Left
from tests.simulation.tasks import Task, current
from tests.simulation.world import World

_START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


class Process:
    """What its threads wait on, and what may happen to all of them at once."""

    def __init__(self, name: str, world: World, history: History) -> None:
        self.name: Final = name
        self.world: Final = world
        self.clock: Final = ProcessClock(self)
        self.is_dead = False
        self.is_frozen = False
        self.is_cut_off = False
        self._history = history
        self._tasks: list[Task] = []
        self._deferred: list[Callable[[], object]] = []

    def spawn(self, run: Callable[[], None]) -> None:
        """Start a thread."""
        if self.is_dead:
            return
        task = Task(run)
        self._tasks = [known for known in self._tasks if not known.is_over]
        self._tasks.append(task)
        self.world.soon(task.resume, self)

    def waker(self) -> Callable[[], None]:
        """Return what ends the next `wait` of the task that runs now, and no later one."""
        task = current()
        pause = task.pauses + 1

        def resume() -> None:
            if task.pauses == pause:
                task.resume()

        return lambda: self.world.soon(resume, self)

    def wait(self, seconds: float | None = None) -> None:
        """Suspend the task that runs now until it is woken, or for so long."""
        task = current()
        if seconds is not None:
            # A task that would be the next to run anyway need not hand the baton over.
            if not self.is_dead and self.world.skip(seconds):
                return
            pause = task.pauses + 1

            def resume() -> None:
                if task.pauses == pause:
                    task.resume()

            self.world.after(seconds, resume, self)
        task.suspend()

    def defer(self, action: Callable[[], object]) -> None:
        self._deferred.append(action)

    def die(self) -> None:
        """Be killed (kill -9): all that was not committed is gone."""
        if not self.is_dead:
            self.note(Died(self.world.now, self.name))
            self.stop()

    def stop(self) -> None:
        """End all threads, wherever they are."""
        self.is_dead = True
        self._deferred.clear()
        for task in self._tasks:
            task.kill()

    def freeze(self, seconds: float) -> None:
        """Be stopped (SIGSTOP), holding whatever is held."""
        if self.is_dead or self.is_frozen:
            return
        self.is_frozen = True
        self.note(Left(self.world.now, self.name, "frozen"))
        self.world.after(seconds, self.thaw)

    def thaw(self) -> None:
        """Go on (SIGCONT), all threads at once, as if no time had passed."""
        if not self.is_frozen:
            return
        self.is_frozen = False
        if self.is_dead:
            return
        self.note(CameBack(self.world.now, self.name, "frozen"))
        deferred, self._deferred = self._deferred, []
        for action in deferred:
            self.world.soon(action, self)

    def cut_off(self, seconds: float) -> None:
        """Lose the way to the database."""
        if self.is_dead or self.is_cut_off:
            return
        self.is_cut_off = True
        self.note(Left(self.world.now, self.name, "cut off"))
        self.world.after(seconds, self.reconnect)

    def reconnect(self) -> None:
        if self.is_cut_off:
            self.is_cut_off = False
            self.note(CameBack(self.world.now, self.name, "cut off"))

    def note(self, event: Event) -> None:
        self._history.events.append(event)


class ProcessClock:
    """Implements the port `Clock` in virtual time; its wall clock can be set wrong."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.error = timedelta()

    def now(self) -> datetime:
        return _START + timedelta(seconds=self._process.world.now) + self.error

    def monotonic(self) -> float:
        return 1000.0 + self._process.world.now

    def sleep(self, seconds: float) -> None:
        self._process.wait(seconds)
