"""Imports askonce once, then forks a process of it for each order that comes on standard input.

An order is a line of JSON: the arguments, the environment, the folder, where standard error goes.
For each the process's id is written to standard output, and its exit code when it has ended.
"""

import importlib
import json
import os
import runpy
import selectors
import signal
import sys
from typing import Any

# What a server imports until it has made its first call. Nothing here starts a thread.
_IMPORTED = (
    "anthropic",
    "askonce.cli.serve",
    "askonce.main.process",
    "openai.resources.responses",
    "openai.types.responses",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.httptools_impl",
)


def main() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    order = _order_of_this_process()
    if order is not None:
        _become(**order)


def _order_of_this_process() -> dict[str, Any] | None:
    """Fork for each order: returns it in the new process, and None in this one at the very end."""
    # A signal that comes between two waits ends the next one at once.
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_reader, False)
    os.set_blocking(wake_writer, False)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running: set[int] = set()
    with selectors.DefaultSelector() as events, os.fdopen(0, "rb", 0, closefd=False) as orders:
        events.register(orders, selectors.EVENT_READ)
        events.register(wake_reader, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in events.select()}
            if wake_reader in ready:
                os.read(wake_reader, 4096)
                _tell_who_ended(running)
            if orders in ready:
                line = orders.readline()
                if not line:
                    break
                pid = os.fork()
                if pid == 0:
                    order: dict[str, Any] = json.loads(line)
                    return order
                running.add(pid)
                _tell(begun=pid)
    for pid in running:
        os.killpg(pid, signal.SIGKILL)
    return None


def _tell_who_ended(running: set[int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        running.discard(pid)
        _tell(ended=pid, code=os.waitstatus_to_exitcode(status))


def _tell(**facts: int) -> None:
    os.write(1, json.dumps(facts).encode() + b"\n")


def _become(arguments: list[str], environment: dict[str, str], folder: str, log: str) -> None:
    """Be what a shell would have started."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    os.closerange(3, 256)
    sys.argv = ["askonce", *arguments]
    runpy.run_module("askonce", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
