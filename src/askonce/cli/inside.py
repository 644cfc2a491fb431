"""Serves an application inside a command, on a Unix socket that nobody else can open."""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import typer

from askonce.cli.endings import FAILED, HUNG_UP, INTERRUPTED, TERMINATED, stop

if TYPE_CHECKING:
    from uvicorn import Server

_LOOK_SECONDS = 0.005
# Calls that end sooner than this after Ctrl-C need not be told of.
_SHORT_SECONDS = 1.0
# The kernel's bound on a socket's path is 108 bytes, elsewhere 104.
_LONGEST_FOLDER = 70
_CODES: Final[dict[int, int]] = {signal.SIGTERM: TERMINATED, signal.SIGHUP: HUNG_UP}


@contextmanager
def served_inside(app: Any, *, grace: float) -> Iterator[Path]:
    """Give the socket on which an application answers, until the block ends.

    Then the calls that are being paid for are finished, for `grace` seconds at most.
    """
    import uvicorn

    temporary = None if len(tempfile.gettempdir()) <= _LONGEST_FOLDER else "/tmp"  # noqa: S108 # nosec B108
    # mkdtemp, which is behind it, gives nobody else the right to enter.
    with (
        tempfile.TemporaryDirectory(prefix="askonce-command-", dir=temporary) as folder,
        _terminated_in_good_order(),
    ):
        socket = Path(folder) / "socket"
        config = uvicorn.Config(
            app,
            uds=str(socket),
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=int(grace),
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="inside", daemon=True)
        thread.start()
        try:
            _wait_for_start(server, thread)
            yield socket
        finally:
            server.should_exit = True
            _wait_for_end(thread, Path(folder))


def _wait_for_start(server: "Server", thread: threading.Thread) -> None:
    while not server.started:
        if not thread.is_alive():
            stop("it could not start: --verbose shows why", FAILED)
        time.sleep(_LOOK_SECONDS)


def _wait_for_end(thread: threading.Thread, folder: Path) -> None:
    """Wait until everything that was paid for is kept. Whoever insists need not wait for it."""
    try:
        thread.join(_SHORT_SECONDS)
        if thread.is_alive():
            typer.echo("askonce: finishing and keeping what is being paid for …", err=True)
            thread.join()
    except (KeyboardInterrupt, SystemExit):
        # As after kill -9: an answer that comes now is lost, and nothing else.
        shutil.rmtree(folder, ignore_errors=True)
        sys.stdout.flush()
        os._exit(INTERRUPTED)


@contextmanager
def _terminated_in_good_order() -> Iterator[None]:
    """Have SIGTERM and a closed terminal end the block as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(_CODES[number])

    before = {number: signal.signal(number, end) for number in _CODES}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
