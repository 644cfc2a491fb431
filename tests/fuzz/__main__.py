"""Sends a server what OpenAPI allows and what it does not: `python -m tests.fuzz --cases 20000`.

A real `askonce serve` with the stub provider, on a database of its own. Exit code 1: there was an
answer with 5xx, or one that OpenAPI does not tell of.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.databases import PostgresTemplates, SqliteTemplates, postgres_server
from tests.fuzz.run import admin_key, fuzz
from tests.serving import Servers
from tests.stub.client import StubProvider

# Each operation is tried until so many of its examples are used up, in several phases: about 20 000
# requests come of 20 000 / 15 examples.
_SHARES = 15


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--cases", type=int, default=20_000, help="about so many requests")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="askonce-fuzz-")))
        if given.database == "sqlite":
            url = SqliteTemplates(folder).copy()
        else:
            url = PostgresTemplates(running.enter_context(postgres_server(folder))).copy()
        stub = running.enter_context(StubProvider())
        servers = Servers(folder / "servers", stub)
        running.callback(servers.stop)
        key = admin_key(url)
        server = servers.start(url)
        examples = max(1, given.cases // _SHARES)
        code, said = fuzz(server.port, folder, key=key, examples=examples, seed=given.seed)
        crashes = [line for line in server.log().splitlines() if "crashed" in line]
    print(said, *crashes, f"seed {given.seed}", sep="\n", flush=True)  # noqa: T201 - a command
    sys.exit(1 if code or crashes else 0)


if __name__ == "__main__":
    main()
