"""What the stub provider was asked, as a test reads it."""

import threading
import time
from typing import Any

_HEADERS = (
    "authorization",
    "x-api-key",
    "anthropic-version",
    "idempotency-key",
    "traceparent",
    "x-stainless-retry-count",
)


class Journal:
    """Every call since the last reset, in the order in which they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        with self._lock:
            self._calls: list[dict[str, Any]] = []
            self._running: dict[int, dict[str, Any]] = {}
            self._most = 0

    def begin(self, path: str, headers: Any, body: Any) -> dict[str, Any]:
        call = {
            "path": path,
            "headers": {name: headers[name] for name in _HEADERS if name in headers},
            "body": body,
            "mode": None,
            "started": time.time(),
            "ended": None,
        }
        with self._lock:
            self._calls.append(call)
            call["number"] = len(self._calls)
            self._running[id(call)] = call
            self._most = max(self._most, len(self._running))
        return call

    def end(self, call: dict[str, Any]) -> None:
        with self._lock:
            call["ended"] = time.time()
            # A call from before the last reset is not among those that run now.
            self._running.pop(id(call), None)

    def read(self) -> dict[str, Any]:
        with self._lock:
            calls = [dict(call) for call in self._calls]
            return {"calls": calls, "running": len(self._running), "max_running": self._most}
