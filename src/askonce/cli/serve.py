"""`askonce serve`: answers HTTP until it is told to stop."""

import multiprocessing
import os
import resource
import secrets
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.endings import FAILED, stop, told_in_one_line
from askonce.core.addresses import is_loopback
from askonce.core.errors import AskonceError, ConfigurationError

if TYPE_CHECKING:
    from uvicorn.config import Config

    from askonce.config import Settings

BACKLOG = 4096
# Longer than load balancers and client pools keep idle connections, so that they close them first.
KEEP_ALIVE_SECONDS = 75
# A worker that is silent for so long hangs, and is replaced. In uvicorn's 5 s one that only has a
# lot to do would be killed, with the calls that are being paid for.
SILENCE_SECONDS = 30
# What a last answer needs after its deadline to be committed and sent.
GRACE_SECONDS = 10


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on. [127.0.0.1]")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on. [8000]")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of processes. [1]")] = None,
) -> None:
    """Serve over HTTP. Settings come from the environment and .env; options outrank them."""
    _outrank(ASKONCE_HOST=host, ASKONCE_PORT=port, ASKONCE_WORKERS=workers)
    from askonce.main.choices import check
    from askonce.telemetry.sharing import shared_by_workers

    with told_in_one_line():
        settings = _settings()
        _allow_many_connections()
        with _listen(settings) as listener:
            _migrate(settings)
            has_keys = _has_keys(settings, listener)
            # Nobody is welcomed by what cannot start.
            check(settings)
            _welcome(settings, listener, has_keys=has_keys)
            if settings.log_salt is None:
                # One for all workers: a user is the same one in the lines of each.
                _outrank(ASKONCE_LOG_SALT=secrets.token_hex(16))
            with shared_by_workers(settings.workers):
                _serve(settings, listener)


def _outrank(**options: str | int | None) -> None:
    """Put options into the environment, where worker processes find them too."""
    for name, value in options.items():
        if value is not None:
            os.environ[name] = str(value)


def _settings() -> "Settings":
    from askonce.config import load_settings, unknown_settings

    settings = load_settings()
    for name in unknown_settings():
        typer.echo(f"askonce: {name} is set, but there is no such setting", err=True)
    return settings


def _allow_many_connections() -> None:
    """Use as many file descriptors as we may: shells give 1024, fewer than the queue is long."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listen(settings: "Settings") -> socket.socket:
    """Take the port, before anything is done that a second instance should not do.

    Whoever connects from now on waits until the first worker is ready, instead of being refused.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = (settings.host, settings.port)
    try:
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else "cannot be used"
        names = "ASKONCE_HOST, ASKONCE_PORT"
        stop(f"{settings.host} port {settings.port}: {reason} ({names})", FAILED)


def _migrate(settings: "Settings") -> None:
    """Bring the database up to date once, so that workers find it so."""
    from askonce.main.operations import migrate

    migrate(settings)


def _has_keys(settings: "Settings", listener: socket.socket) -> bool:
    """Return whether callers need keys.

    Raises:
        ConfigurationError: there is no key, and others than this machine could call.
    """
    from askonce.main.operations import keyring

    # Where we really listen: a name may stand for any address. Worker processes are told so too.
    address = listener.getsockname()[0]
    _outrank(ASKONCE_HOST=address)
    with keyring(settings) as keys:
        has_keys = keys.is_any()
    if not has_keys and not is_loopback(address):
        raise ConfigurationError(
            f"ASKONCE_HOST={settings.host} is refused while there is no key, as others than this"
            " machine could call: make one with `askonce keys create NAME`"
        )
    return has_keys


def _welcome(settings: "Settings", listener: socket.socket, *, has_keys: bool) -> None:
    from askonce.cli.welcome import Welcome

    Welcome(settings, listener.getsockname()[1], has_keys=has_keys).tell()


def _serve(settings: "Settings", listener: socket.socket) -> None:
    import uvicorn

    from askonce.cli.patience import PatientProtocol
    from askonce.telemetry import log

    is_alone = settings.workers == 1
    config = uvicorn.Config(
        f"askonce.cli.serve:{'app_of_only_process' if is_alone else 'app_of_worker'}",
        factory=True,
        workers=settings.workers,
        loop="uvloop",
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=settings.log_level.lower(),
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(_grace(settings)),
        timeout_worker_healthcheck=SILENCE_SECONDS,
    )
    with suppress(KeyboardInterrupt):
        if is_alone:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            log.configure(settings.log_level, settings.log_format)
            _supervise(config, listener)
            log.drain()


def _supervise(config: "Config", listener: socket.socket) -> None:
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from askonce.telemetry import log

    class Supervisor(Multiprocess):
        def keep_subprocess_alive(self) -> None:
            for worker in self.processes:
                if worker.exitcode is not None:
                    log.error("worker_died", worker=worker.pid, exit_code=worker.exitcode)
            super().keep_subprocess_alive()

        def terminate_all(self) -> None:
            # Ours is open still when the last worker has closed its own: clients would hang in it.
            listener.close()
            super().terminate_all()

    workers = Supervisor(config, sockets=[listener])
    workers.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in workers.processes):
        raise typer.Exit(FAILED)


def app_of_only_process() -> object:
    """Return the application of a process that is the only one."""
    return _app(is_alone=True)


def app_of_worker() -> object:
    """Return the application of one worker process of several.

    A worker that cannot start for a reason that a restart would not cure says so and ends them
    all: uvicorn takes this exit code so, and would start it again for ever after any other.
    """
    from uvicorn.config import STARTUP_FAILURE

    try:
        app = _app(is_alone=False)
        _end_with_supervisor()
        return app
    except AskonceError as error:
        typer.echo(f"askonce: {error}", err=True)
        sys.exit(STARTUP_FAILURE)


def _end_with_supervisor() -> None:
    """End as SIGTERM says where the supervisor was killed: the port must be free for the next."""
    supervisor = multiprocessing.parent_process()
    if supervisor is None:
        return

    def wait() -> None:
        supervisor.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="supervisor", daemon=True).start()


def _app(*, is_alone: bool) -> object:
    from askonce.cli.draining import drain_on_sigterm
    from askonce.cli.patience import PatientProtocol
    from askonce.config import load_settings
    from askonce.main.process import assemble

    settings = load_settings()
    PatientProtocol.request_seconds = settings.request_timeout
    app, process = assemble(settings)
    # uvicorn's own handlers are in place by now: it builds the application within them.
    drain_on_sigterm(process, grace=_grace(settings), is_alone=is_alone)
    return app


def _grace(settings: "Settings") -> float:
    """Return how many seconds a process that was told to end may take for what is running."""
    return settings.deadline + GRACE_SECONDS
