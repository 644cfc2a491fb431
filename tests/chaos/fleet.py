"""The replicas: real `askonce serve` processes that are killed, frozen, and started again."""

import http.client
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.chaos.evidence import Replica
from tests.chaos.stopwatch import Stopwatch
from tests.serving import SERVE, Server, bare_environment

_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.01
_OWNER: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class Running:
    """One process and what was done to it."""

    name: str
    server: Server
    owner: str | None = None
    is_warm: bool = False
    killed: float | None = None
    freezes: list[tuple[float, float]] = field(default_factory=list)
    frozen_since: float | None = None

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def is_ready(self) -> bool:
        return self.is_warm and self.killed is None

    def record(self) -> Replica:
        return Replica(
            name=self.name, owner=self.owner, killed=self.killed, freezes=tuple(self.freezes)
        )


class Fleet:
    """A number of places, in each of which one replica after another runs.

    Each replica has a provider key of its own, so that the provider knows who calls.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        places: int,
        *,
        watch: Stopwatch,
        warm_up: Callable[[Running], bool],
    ) -> None:
        self._folder = folder
        self._environment = {**bare_environment(), "TMPDIR": str(folder), **environment}
        self._places = places
        self._watch = watch
        self._warm_up = warm_up
        self._current: dict[int, Running] = {}
        self._all: list[Running] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self._is_closing = False

    def start(self) -> None:
        """Start all replicas, and wait until they are ready."""
        for place in range(self._places):
            self._start_in_thread(place)
        self.heal()

    def ready(self) -> list[Running]:
        """Return the replicas that take requests, as far as anybody knows: some may be frozen."""
        return [replica for replica in self._current.values() if replica.is_ready]

    def awake(self) -> list[Running]:
        return [replica for replica in self.ready() if replica.frozen_since is None]

    def wait_for_awake(self, count: int) -> None:
        """Wait until so many replicas take requests: restarts take their time."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while len(self.awake()) < count:
            assert time.monotonic() < end, "the replicas do not come up again"
            time.sleep(_POLL_SECONDS)

    def starting(self) -> list[Running]:
        return [one for one in self._current.values() if not one.is_warm and one.killed is None]

    def kill(self, replica: Running) -> None:
        """kill -9, and start another one in its place."""
        with self._lock:
            if replica.killed is not None:
                return
            self._thaw(replica)
            replica.killed = self._watch.now()
            replica.server.kill()
            place = next(place for place, one in self._current.items() if one is replica)
        self._start_in_thread(place)

    def freeze(self, replica: Running, seconds: float) -> None:
        """Stop a replica, and wake it after a while."""
        with self._lock:
            if not replica.is_ready or replica.frozen_since is not None:
                return
            replica.frozen_since = self._watch.now()
            replica.server.freeze()
        self._in_thread(lambda: self._wake_after(replica, seconds))

    def heal(self) -> None:
        """Wake all, and wait until all places have a replica that is ready."""
        with self._lock:
            for replica in self._current.values():
                self._wake(replica)
        while True:
            with self._lock:
                threads = [thread for thread in self._threads if thread.is_alive()]
                self._threads = threads
            if not threads:
                return
            for thread in threads:
                thread.join()

    def stop(self) -> None:
        self._is_closing = True
        self.heal()
        for replica in self._all:
            replica.server.kill()

    def records(self) -> tuple[Replica, ...]:
        return tuple(replica.record() for replica in self._all)

    def _start_in_thread(self, place: int) -> None:
        self._in_thread(lambda: self._start_at(place))

    def _in_thread(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    def _start_at(self, place: int) -> None:
        """Start a replica until one comes up: the database may be away, or it may be killed."""
        while not self._is_closing:
            replica = self._begin(place)
            try:
                replica.server.wait_until_ready()
                replica.owner = _owner_of(replica.server.pid)
                # The first call waits for the SDK to be imported, and so would all clients.
                replica.is_warm = self._warm_up(replica)
                if replica.is_warm:
                    return
            except (AssertionError, OSError, http.client.HTTPException):
                pass
            with self._lock:
                if replica.killed is not None:
                    return  # whoever killed it has another one started
                replica.killed = self._watch.now()
                replica.server.kill()

    def _begin(self, place: int) -> Running:
        with self._lock:
            name = f"r{place}.{len(self._all)}"
            server = Server(
                SERVE,
                {**self._environment, "OPENAI_API_KEY": name},
                self._folder / name,
            )
            replica = Running(name, server)
            self._all.append(replica)
            self._current[place] = replica
            return replica

    def _wake_after(self, replica: Running, seconds: float) -> None:
        time.sleep(seconds)
        with self._lock:
            self._wake(replica)

    def _wake(self, replica: Running) -> None:
        if replica.killed is None and replica.frozen_since is not None:
            replica.server.wake()
            self._thaw(replica)

    def _thaw(self, replica: Running) -> None:
        if replica.frozen_since is not None:
            replica.freezes.append((replica.frozen_since, self._watch.now()))
            replica.frozen_since = None


def any_of(replicas: list[Running], drawn: random.Random) -> Running | None:
    return drawn.choice(replicas) if replicas else None


def _owner_of(pid: int) -> str:
    """Return what a process calls itself in the tables: the name of the file that it has locked."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            path = descriptor.readlink()
        except OSError:
            continue
        is_live = path.parent.suffix == ".live" or path.parent.name.startswith("askonce-")
        if is_live and _OWNER.fullmatch(path.name):
            return path.name
    raise AssertionError("the process holds no file that says how it calls itself")
