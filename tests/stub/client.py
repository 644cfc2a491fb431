"""Start, script and read a stub provider from a test."""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

_ROOT = Path(__file__).parents[2]
_PATIENCE_SECONDS = 60.0


class StubProvider:
    """A running stub provider; a context manager that ends it. See `tests.stub` for the words."""

    def __init__(self, port: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.stub", "--port", str(port)],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the stub provider did not start"

    @property
    def claude_url(self) -> str:
        """What ANTHROPIC_BASE_URL must be to reach the stub."""
        return self.url

    @property
    def openai_url(self) -> str:
        """What OPENAI_BASE_URL must be to reach the stub."""
        return f"{self.url}/v1"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def will(self, *lines: str) -> None:
        """Let the next calls do what `lines` say, one call each."""
        self._send("POST", "/_script", list(lines))

    def let_go(self) -> None:
        """Let all calls go on that are held, and hold none from now on."""
        self._send("POST", "/_let_go", None)

    def finish_batches(self) -> None:
        """Let the vendors work on all batches that were sent."""
        self._send("POST", "/_finish_batches", None)

    def is_held(self) -> bool:
        """Return whether something waits to be let go."""
        return bool(self._send("GET", "/_held", None))

    def batches(self) -> list[list[dict[str, Any]]]:
        """Return the requests of each batch that was made since the last reset."""
        batches: list[list[dict[str, Any]]] = self._send("GET", "/_batches", None)
        return batches

    def reset(self) -> None:
        """Forget the script and all calls."""
        self._send("POST", "/_reset", None)

    def calls(self) -> list[dict[str, Any]]:
        """Return all calls since the last reset, as they came."""
        calls: list[dict[str, Any]] = self.state()["calls"]
        return calls

    def max_running(self) -> int:
        """Return how many calls ran at one time at most."""
        return int(self.state()["max_running"])

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._send("GET", "/_calls", None)
        return state

    def _send(self, method: str, path: str, body: Any) -> Any:
        place = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            str(place.hostname), place.port, timeout=_PATIENCE_SECONDS
        )
        try:
            connection.request(method, path, json.dumps(body))
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
