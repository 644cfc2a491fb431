"""Starts `askonce` in a tenth of the time that a new interpreter needs."""

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

_ROOT = Path(__file__).parents[2]


class ForkedProcess:
    """A process that the fork server started: what tests need of `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._has_ended = threading.Event()
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code, or minus the signal that ended the process."""
        if not self._has_ended.wait(timeout) or self._code is None:
            raise subprocess.TimeoutExpired("askonce", timeout or 0.0)
        return self._code

    def terminate(self) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGTERM)

    def end(self, code: int) -> None:
        self._code = code
        self._has_ended.set()


class ForkServer:
    """The fork server, and its processes."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fork_server"],
            cwd=_ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._begun: queue.SimpleQueue[ForkedProcess] = queue.SimpleQueue()
        self._running: dict[int, ForkedProcess] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="fork-server", daemon=True).start()

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> ForkedProcess:
        """Start `askonce` with these arguments, in this environment alone."""
        order = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(folder),
            "log": str(log),
        }
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            return self._begun.get(timeout=60)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            facts = json.loads(line)
            if "begun" in facts:
                process = ForkedProcess(facts["begun"])
                self._running[process.pid] = process
                self._begun.put(process)
            else:
                self._running.pop(facts["ended"]).end(facts["code"])


@cache
def fork_server(**environment: str) -> ForkServer:
    """Return the one of this test run; it ends with it."""
    server = ForkServer(environment)
    atexit.register(server.close)
    return server
