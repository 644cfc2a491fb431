"""Starts what is measured, with nothing else in its environment, and reads what it takes."""

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from benchmarks import processors
from benchmarks.keys import make_key
from tests.serving import Server, Servers
from tests.stub.client import StubProvider

_BARE = Path(__file__).parent / "bare.py"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready, and when it was started (`time.perf_counter`)."""

    server: Server
    started: float

    @property
    def port(self) -> int:
        return self.server.port

    def age(self) -> float:
        """Return the seconds since it was started."""
        return time.perf_counter() - self.started

    def cpu_seconds(self) -> float:
        """Return the processor time that the server has used, all its processes included."""
        fields = (_stat(pid) for pid in self._pids())
        ticks = sum(int(one[11]) + int(one[12]) for one in fields)
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mib(self) -> float:
        """Return the memory that the server holds."""
        return self._status("VmRSS:")

    def peak_mib(self) -> float:
        """Return the most memory that the server has ever held."""
        return self._status("VmHWM:")

    def threads(self) -> int:
        """Return how many threads the server has."""
        return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in self._pids())

    def open_files(self) -> list[str]:
        """Return what each file handle of the server leads to."""
        handles = (one for pid in self._pids() for one in Path(f"/proc/{pid}/fd").iterdir())
        leading = []
        for handle in handles:
            # It may be closed by now.
            with suppress(FileNotFoundError):
                leading.append(str(handle.readlink()))
        return leading

    def stop(self) -> None:
        self.server.kill()

    def _pids(self) -> list[int]:
        return [self.server.pid, *_children(self.server.pid)]

    def _status(self, name: str) -> float:
        total = 0
        for pid in self._pids():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(name):
                    total += int(line.split()[1])
        return total / 1024


class Starter:
    """Starts servers; a context manager that stops what is left of them."""

    def __init__(self, folder: Path, stub: StubProvider) -> None:
        self._servers = Servers(folder, stub)
        self._folder = folder
        self._stub = stub

    def askonce(self, database_url: str, *, is_alone: bool = True, **settings: object) -> Running:
        """Start `askonce serve` on a database, with the stub as Claude.

        With a processor of its own (`is_alone`), else on all of them. Callers need a key.
        """
        make_key(database_url)
        given = {
            "ASKONCE_DATABASE_URL": database_url,
            "ASKONCE_SPOOL": self._folder / "spool",
            "ASKONCE_LOG_LEVEL": "WARNING",
            "ANTHROPIC_API_KEY": "stub",
            "ANTHROPIC_BASE_URL": self._stub.claude_url,
            **settings,
        }
        command = [sys.executable, "-m", "askonce", "serve"]
        return self._start(command, is_alone=is_alone, settings=given)

    def bare(self, answer: str) -> Running:
        """Start the bare FastAPI endpoint that always answers `answer` (JSON)."""
        command = [sys.executable, str(_BARE)]
        return self._start(command, is_alone=True, settings={"ANSWER": answer})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.stop()

    def _start(self, command: list[str], *, is_alone: bool, settings: dict[str, object]) -> Running:
        bound = processors.alone(command) if is_alone else processors.anywhere(command)
        started = time.perf_counter()
        server = self._servers.begin_bare(*bound, **settings).wait_until_ready()
        return Running(server, started)


def _children(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [descendant for one in children for descendant in (int(one), *_children(int(one)))]


def _stat(pid: int) -> list[str]:
    """Return the fields of a process after its name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
