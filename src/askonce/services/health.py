"""Whether this process can do its work."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from askonce.core.ports import Database


class Health:
    """Asks the database, never a provider, in a thread that nothing else can keep busy."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="health")
        self._lock = threading.Lock()
        self._asked: Future[None] | None = None

    def check(self) -> "Future[None]":
        """Return a future that raises `DatabaseUnavailableError` when the database is away.

        However many monitors ask at one time, the database is asked once.
        """
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked = self._thread.submit(self._database.ping)
            return self._asked

    def close(self) -> None:
        self._thread.shutdown(wait=False)
