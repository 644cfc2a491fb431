"""The answers and events of Anthropic's Messages and OpenAI's Responses API, as they are sent."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

_PIECE = 7
_MOST_PIECES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the stub's model says to one call. `end` is stop, length, refusal, tool or filtered."""

    number: int
    model: str
    text: str
    end: str
    tokens_in: int
    tokens_cached: int
    tokens_out: int

    def pieces(self) -> list[str]:
        # Tens of thousands of events keep a slow machine busy for longer than a call may take.
        length = max(_PIECE, len(self.text) // _MOST_PIECES)
        return [self.text[at : at + length] for at in range(0, len(self.text), length)]


def default_text(question: str, number: int) -> str:
    """Return an answer that shows whose it is, so that a mix-up cannot pass."""
    digest = hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"answer to {digest} #{number}"


def as_reply(text: str) -> str:
    """Return a text as a reply in a conversation: JSON with the content and a confidence."""
    return json.dumps({"content": text, "confidence": 0.75})


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content)


class Vendor(Protocol):
    """One vendor's way of putting things."""

    def question(self, body: dict[str, Any]) -> str:
        """Return the last thing that was said."""

    def prompt(self, body: dict[str, Any]) -> str:
        """Return all that was said."""

    def schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the schema that the answer has to fit."""

    def limit(self, body: dict[str, Any]) -> int: ...

    def whole(self, said: Said, *, is_failing: bool) -> dict[str, Any]:
        """Return the whole answer; one that fails does so only where the vendor knows that."""

    def events(self, said: Said, *, is_failing: bool) -> Iterator[bytes]:
        """Yield the same as server-sent events."""

    def broken(self) -> bytes:
        """Return the event by which a stream ends in an error."""

    def error(self, status: int, kind: str) -> dict[str, Any]: ...


_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "refusal": "refusal",
    "filtered": "refusal",
    "tool": "tool_use",
}


class Anthropic:
    """https://docs.anthropic.com/en/api/messages and .../messages-streaming."""

    def question(self, body: dict[str, Any]) -> str:
        return _text(body["messages"][-1])

    def prompt(self, body: dict[str, Any]) -> str:
        return "".join(_text(message) for message in body["messages"])

    def schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        schema: dict[str, Any] | None = (
            body.get("output_config", {}).get("format", {}).get("schema")
        )
        return schema

    def limit(self, body: dict[str, Any]) -> int:
        return int(body["max_tokens"])

    def whole(self, said: Said, *, is_failing: bool) -> dict[str, Any]:  # noqa: ARG002
        text = [{"type": "text", "text": said.text}] if said.text else []
        return {
            **self._start(said),
            "content": [{"type": "thinking", "thinking": "hm", "signature": "s"}, *text],
            "stop_reason": _STOP_REASONS[said.end],
            "usage": self._usage(said, said.tokens_out),
        }

    def events(self, said: Said, *, is_failing: bool) -> Iterator[bytes]:  # noqa: ARG002
        yield _event("message_start", {"message": self._start(said)})
        yield _event(
            "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
        )
        yield _event("ping", {})
        for piece in said.pieces():
            delta = {"type": "text_delta", "text": piece}
            yield _event("content_block_delta", {"index": 0, "delta": delta})
        yield _event("content_block_stop", {"index": 0})
        end = {"stop_reason": _STOP_REASONS[said.end], "stop_sequence": None}
        usage = {"output_tokens": said.tokens_out}
        yield _event("message_delta", {"delta": end, "usage": usage})
        yield _event("message_stop", {})

    def broken(self) -> bytes:
        return _event("error", self.error(529, "overloaded"))

    def error(self, status: int, kind: str) -> dict[str, Any]:
        error: dict[str, Any] = {"type": _ANTHROPIC_TYPES.get(status, "api_error")}
        error["message"] = f"stub secret words {kind}"
        if kind == "too-long":
            error["message"] = "prompt is too long: 210000 tokens > 200000 maximum"
        if kind == "quota":
            error["details"] = {"error_code": "enforced_spend_limit_reached"}
        return {"type": "error", "error": error, "request_id": "req_stub"}

    def _start(self, said: Said) -> dict[str, Any]:
        return {
            "id": f"msg_stub_{said.number}",
            "type": "message",
            "role": "assistant",
            "model": said.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": self._usage(said, 1),
        }

    def _usage(self, said: Said, out: int) -> dict[str, Any]:
        return {
            "input_tokens": said.tokens_in,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": said.tokens_cached,
            "output_tokens": out,
            "service_tier": "standard",
        }


_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class OpenAI:
    """https://platform.openai.com/docs/api-reference/responses and .../responses-streaming."""

    def question(self, body: dict[str, Any]) -> str:
        question = body["input"]
        return question if isinstance(question, str) else _text(question[-1])

    def prompt(self, body: dict[str, Any]) -> str:
        question = body["input"]
        if isinstance(question, str):
            return question
        return "".join(_text(message) for message in question)

    def schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        schema: dict[str, Any] | None = body.get("text", {}).get("format", {}).get("schema")
        return schema

    def limit(self, body: dict[str, Any]) -> int:
        return int(body.get("max_output_tokens") or 0)

    def whole(self, said: Said, *, is_failing: bool) -> dict[str, Any]:
        if is_failing:
            error = {"code": "server_error", "message": "stub secret words"}
            return {**self._start(said), "status": "failed", "error": error}
        reasons = {"length": "max_output_tokens", "filtered": "content_filter"}
        reason = reasons.get(said.end)
        part: dict[str, Any] = {"type": "output_text", "text": said.text, "annotations": []}
        if said.end == "refusal":
            part = {"type": "refusal", "refusal": said.text}
        message = {
            "id": f"msg_{said.number}",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [part] if said.text else [],
        }
        output: list[dict[str, Any]] = [{"id": "rs_1", "type": "reasoning", "summary": []}, message]
        return {
            **self._start(said),
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "output": output,
            "usage": {
                "input_tokens": said.tokens_in + said.tokens_cached,
                "input_tokens_details": {
                    "cached_tokens": said.tokens_cached,
                    "cache_write_tokens": 0,
                },
                "output_tokens": said.tokens_out,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": said.tokens_in + said.tokens_cached + said.tokens_out,
            },
        }

    def events(self, said: Said, *, is_failing: bool) -> Iterator[bytes]:
        whole = self.whole(said, is_failing=is_failing)
        kind = "refusal" if said.end == "refusal" else "output_text"
        place = {"item_id": f"msg_{said.number}", "output_index": 1, "content_index": 0}
        steps: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": self._start(said)}),
            ("response.in_progress", {"response": self._start(said)}),
            *((f"response.{kind}.delta", {**place, "delta": piece}) for piece in said.pieces()),
            (f"response.{kind}.done", {**place, "text": said.text, "refusal": said.text}),
            (f"response.{whole['status']}", {"response": whole}),
        ]
        for number, (event, data) in enumerate(steps):
            yield _event(event, {**data, "sequence_number": number})

    def broken(self) -> bytes:
        return _event(
            "error",
            {"code": "server_error", "message": "stub secret words", "sequence_number": 9},
        )

    def error(self, status: int, kind: str) -> dict[str, Any]:
        code = {"too-long": "context_length_exceeded", "quota": "insufficient_quota"}.get(kind)
        kinds = {"quota": "insufficient_quota"}
        error = {
            "message": f"stub secret words {status}",
            "type": kinds.get(kind, "invalid_request_error"),
            "param": None,
            "code": code,
        }
        return {"error": error}

    def _start(self, said: Said) -> dict[str, Any]:
        return {
            "id": f"resp_stub_{said.number}",
            "object": "response",
            "created_at": 1_795_000_000,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": said.model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "store": False,
            "usage": None,
        }


def _event(event: str, data: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps({'type': event, **data})}\n\n".encode()
