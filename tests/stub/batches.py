"""The vendors' batch endpoints, as far as askonce uses them.

Batches are worked on when a test says so (`POST /_finish_batches`), and each request is then
answered as a call of its own would be. What a request does stands in its question; of the words of
`tests.stub` those count here that answer, refuse or fail, and `expired`.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

# Answers one request: status and body.
Answerer = Callable[[str, dict[str, Any]], tuple[int, Any]]
_PAGE = 2


@dataclass
class Made:
    """One batch, of either vendor."""

    number: int
    path: str
    requests: list[dict[str, Any]]
    metadata: dict[str, str]
    created: float = field(default_factory=time.time)
    results: list[tuple[str, int | None, Any]] | None = None

    @property
    def id(self) -> str:
        return f"batch_{self.number}"


class Batches:
    """All batches that were made since the last reset."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.made: dict[str, Made] = {}
        self._files: dict[str, bytes] = {}

    def finish(self, answer: Answerer) -> None:
        """Work on all batches that there are."""
        for batch in self.made.values():
            if batch.results is None:
                # The other way round: results come in any order.
                batch.results = [self._result(batch, one, answer) for one in batch.requests[::-1]]

    def answer(self, method: str, path: str, body: Any, raw: bytes) -> tuple[int, bytes]:
        """Return status and body."""
        try:
            return self._found(method, path, body, raw)
        except (IndexError, KeyError):
            return 404, b'{"error": {"type": "not_found_error", "message": "no"}}'

    def _found(self, method: str, path: str, body: Any, raw: bytes) -> tuple[int, bytes]:
        path, _, query = path.partition("?")
        if path.startswith("/v1/messages/batches"):
            return self._anthropic(method, path, query, body)
        if path.startswith("/v1/files"):
            return self._file(method, path, raw)
        return self._openai(method, path, query, body)

    def _result(
        self, batch: Made, request: dict[str, Any], answer: Answerer
    ) -> tuple[str, int | None, Any]:
        asked = request.get("params") or request["body"]
        if "[[expired]]" in json.dumps(asked):
            return request["custom_id"], None, None
        return request["custom_id"], *answer(batch.path, asked)

    def _make(self, path: str, requests: list[dict[str, Any]], metadata: dict[str, str]) -> Made:
        batch = Made(len(self.made) + 1, path, requests, metadata)
        self.made[batch.id] = batch
        return batch

    def _page(self, path: str, query: str) -> list[Made]:
        newest = [one for one in reversed(self.made.values()) if one.path == path]
        after = dict(part.split("=") for part in query.split("&") if "=" in part)
        last = after.get("after") or after.get("after_id")
        start = 1 + next((at for at, one in enumerate(newest) if one.id == last), -1)
        return newest[start:]

    def _anthropic(self, method: str, path: str, query: str, body: Any) -> tuple[int, bytes]:
        if method == "POST":
            return _json(_message_batch(self._make("/v1/messages", body["requests"], {})))
        if path == "/v1/messages/batches":
            rest = self._page("/v1/messages", query)
            page = [_message_batch(one) for one in rest[:_PAGE]]
            last = page[-1]["id"] if page else None
            return _json({"data": page, "has_more": len(rest) > _PAGE, "last_id": last})
        name, _, results = path.removeprefix("/v1/messages/batches/").partition("/")
        batch = self.made[name]
        if not results:
            return _json(_message_batch(batch))
        lines = (_message_result(*one) for one in batch.results or ())
        return 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def _file(self, method: str, path: str, raw: bytes) -> tuple[int, bytes]:
        if method == "POST":
            file_id = f"file-{len(self._files) + 1}"
            self._files[file_id] = raw
            return _json({"id": file_id, "object": "file", "purpose": "batch"})
        batch = self.made[path.split("/")[3].removeprefix("file-out-")]
        lines = (_response_result(*one) for one in batch.results or ())
        return 200, b"".join(json.dumps(line).encode() + b"\n" for line in lines)

    def _openai(self, method: str, path: str, query: str, body: Any) -> tuple[int, bytes]:
        if method == "POST":
            lines = self._files[body["input_file_id"]].splitlines()
            # Whatever of the form is no request is what wraps the file.
            requests = [json.loads(line) for line in lines if line.startswith(b'{"custom_id"')]
            return _json(_batch(self._make("/v1/responses", requests, body["metadata"])))
        if path == "/v1/batches":
            rest = self._page("/v1/responses", query)
            page = [_batch(one) for one in rest[:_PAGE]]
            return _json({"object": "list", "data": page, "has_more": len(rest) > _PAGE})
        return _json(_batch(self.made[path.split("/")[3]]))


def _json(body: Any) -> tuple[int, bytes]:
    return 200, json.dumps(body).encode()


def _message_batch(batch: Made) -> dict[str, Any]:
    created = datetime.fromtimestamp(batch.created, UTC)
    is_over = batch.results is not None
    counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
    counts["succeeded" if is_over else "processing"] = len(batch.requests)
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": "ended" if is_over else "in_progress",
        "request_counts": counts,
        "created_at": created.isoformat(),
        "expires_at": (created + timedelta(days=1)).isoformat(),
        "ended_at": datetime.now(UTC).isoformat() if is_over else None,
        "results_url": f"/v1/messages/batches/{batch.id}/results" if is_over else None,
    }


def _message_result(name: str, status: int | None, body: Any) -> dict[str, Any]:
    result: dict[str, Any] = {"type": "expired"}
    if status == 200:
        result = {"type": "succeeded", "message": body}
    elif status is not None:
        result = {"type": "errored", "error": body}
    return {"custom_id": name, "result": result}


def _batch(batch: Made) -> dict[str, Any]:
    is_over = batch.results is not None
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.path,
        "completion_window": "24h",
        "input_file_id": "file-1",
        "status": "completed" if is_over else "in_progress",
        "created_at": int(batch.created),
        "completed_at": int(time.time()) if is_over else None,
        "output_file_id": f"file-out-{batch.id}" if is_over else None,
        "metadata": batch.metadata,
    }


def _response_result(name: str, status: int | None, body: Any) -> dict[str, Any]:
    line: dict[str, Any] = {"id": f"req_{name}", "custom_id": name, "response": None, "error": None}
    if status is None:
        return line | {"error": {"code": "batch_expired", "message": "stub secret words"}}
    return line | {"response": {"status_code": status, "request_id": "r", "body": body}}
