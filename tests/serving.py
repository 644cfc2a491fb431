"""Real `askonce serve` processes, to be killed, frozen and stopped."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.fork_server.client import ForkedProcess, fork_server
from tests.ports import number_of, reserved_port
from tests.stub.client import StubProvider

# Nothing waits for so long but what never comes: a loaded machine takes 20 s to start a server.
PATIENCE_SECONDS = 120.0
_POLL_SECONDS = 0.01

ASKONCE = [sys.executable, "-m", "askonce"]
SERVE = [*ASKONCE, "serve"]


class Server:
    """A running `python -m askonce serve`, with all its workers."""

    def __init__(self, command: list[str], environment: Mapping[str, str], folder: Path) -> None:
        folder.mkdir(parents=True)
        self._port_keeper = reserved_port()
        self.port = number_of(self._port_keeper)
        self.database_url = environment.get("ASKONCE_DATABASE_URL", "")
        self._log = folder / "stderr"
        self._process = _begun(
            command, {**environment, "ASKONCE_PORT": str(self.port)}, folder, self._log
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until_ready(self) -> Self:
        until(lambda: self.is_over() or self._is_ready())
        assert not self.is_over(), self.log()
        return self

    def log(self) -> str:
        """Return what has come on standard error so far."""
        return self._log.read_text()

    def cpu_seconds(self) -> float:
        """Return how much processor time the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        """kill -9, all workers included."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._port_keeper.close()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask the process to end, as an operator or an orchestrator does."""
        self._process.terminate()

    def wait(self) -> int:
        """Return the exit code, once the process has ended by itself."""
        return self._process.wait(PATIENCE_SECONDS)

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()


class Servers:
    """Starts servers for one test, and ends them with it."""

    def __init__(self, folder: Path, stub: StubProvider) -> None:
        self.folder = folder
        self._spool = folder / "spool"
        self._stub = stub
        self._started: list[Server] = []

    def start(self, database_url: str, **settings: object) -> Server:
        """Start a server that asks the stub provider, and return it when it is ready."""
        return self.begin(database_url, **settings).wait_until_ready()

    def begin(self, database_url: str, **settings: object) -> Server:
        """Start a server that asks the stub provider, and return it at once."""
        return self.begin_bare(
            ASKONCE_DATABASE_URL=database_url,
            OPENAI_BASE_URL=self._stub.openai_url,
            **{"OPENAI_API_KEY": "stub", "ASKONCE_SPOOL": self._spool, **settings},
        )

    def begin_bare(self, *command: str, **settings: object) -> Server:
        """Start a server (with another command, if one is given) that has only these settings.

        Relative paths are in a folder of its own.
        """
        given = {name: str(value) for name, value in settings.items()}
        server = Server(
            list(command) or SERVE,
            {**bare_environment(), "TMPDIR": str(self.folder), **given},
            self.folder / f"server-{len(self._started)}",
        )
        self._started.append(server)
        return server

    def spooled(self) -> list[Path]:
        """Return the files of paid answers that wait for their commit."""
        return list(self._spool.glob("*/*.json"))

    def stop(self) -> None:
        for server in self._started:
            server.kill()


def _begun(
    command: list[str], environment: Mapping[str, str], folder: Path, log: Path
) -> "subprocess.Popen[bytes] | ForkedProcess":
    """Start a process: askonce itself by the fork server, which has imported everything already."""
    # Lines of a forked process are not counted.
    is_measured = any(name.startswith("COVERAGE_") for name in environment)
    if command[: len(ASKONCE)] == ASKONCE and not is_measured:
        forks = fork_server(**bare_environment())
        return forks.start(command[len(ASKONCE) :], environment, folder, log)
    with log.open("wb") as file:
        return subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        )


def bare_environment() -> dict[str, str]:
    """Return an environment with nothing of the developer's: no key, no setting, no proxy."""
    measuring = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    return {**measuring, "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}


def until(happens: Callable[[], bool]) -> float:
    """Wait until something happens, and return how many seconds that took."""
    started = time.monotonic()
    while not happens():
        assert time.monotonic() - started < PATIENCE_SECONDS, "it did not happen in time"
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - started
