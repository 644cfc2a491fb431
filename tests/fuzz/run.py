"""Runs schemathesis against a server: every operation, every check, sequences of calls too."""

import secrets
import subprocess
import sys
from pathlib import Path

from askonce.core.access import Role
from askonce.core.clock import SystemClock
from askonce.db.database import SqlDatabase
from askonce.services.keys import Keys
from tests.serving import bare_environment

CONFIG = Path(__file__).parent / "schemathesis.toml"


def admin_key(database_url: str) -> str:
    """Return a key for everything; from now on the service asks for one."""
    database = SqlDatabase(database_url, pool_size=1)
    keys = Keys(database=database, clock=SystemClock(), random_bytes=secrets.token_bytes)
    made = keys.create("fuzz", tenant="default", role=Role.ADMIN)
    database.close()
    return made.text


def fuzz(
    port: int, folder: Path, *, key: str, examples: int, seed: int, seconds: int | None = None
) -> tuple[int, str]:
    """Return schemathesis' exit code (0: nothing found) and what it said.

    `key` is an admin's. `examples` is a bound for each operation and phase; with `seconds`, the
    whole run ends then.
    """
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(CONFIG),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
        "--header",
        f"Authorization: Bearer {key}",
        f"--max-examples={examples}",
        f"--seed={seed}",
        "--generation-database=none",
        "--continue-on-failure",
        "--no-color",
    ]
    if seconds is not None:
        command.append(f"--max-time={seconds}")
    done = subprocess.run(
        command,
        env={**bare_environment(), "HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
