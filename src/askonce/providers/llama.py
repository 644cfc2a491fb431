"""llama.cpp behind a thread: it only stops where it calls back, and we must go on in time."""

import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from askonce.core.clock import Deadline

CONTEXT_TOKENS: Final = 8192
# A prompt is read in pieces of so many tokens, and a call can be ended after each.
_BATCH_TOKENS: Final = 256

# The model's own template puts a system prompt in front of a question that has none, and the
# model then answers "What is the capital of France?" with a list of French nouns.
_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class CallTimeoutError(Exception):
    """The model was not done by the deadline."""


_HELLO: Final = {
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 1,
    "stream": True,
    "cache_prompt": False,
}


def start_server(weights: Path, *, threads: int, slots: int) -> Any:
    """Load the model; takes a second, five on a busy machine."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights)
    params.chat_template = _TEMPLATE
    # A context for each slot costs 150 MiB more than one for all, in which an answer would depend
    # on what happens to be asked beside it: of 17 questions five were then answered differently.
    params.n_ctx = CONTEXT_TOKENS * slots
    params.kv_unified = False
    params.n_batch = _BATCH_TOKENS
    params.n_parallel = slots
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    # The default keeps 8 GiB of old prompts, which are texts of users.
    params.cache_ram_mib = 0
    # It always opens a port on loopback: nobody else can know its key.
    params.port = 0
    params.api_keys = [secrets.token_hex(32)]
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    # One that is freed before its loop has begun waits for its end for ever (as of 2026.10.11549).
    server.handle_chat_completions(_HELLO, lambda _chunk: False)
    return server


class LlamaCall:
    """One call of the model in a thread of its own, which ends soon after `cancel` or `is_over`.

    `ended` is called once, when the model really is free again.
    """

    def __init__(
        self,
        started: Callable[[], Any],
        request: dict[str, Any],
        *,
        is_over: Callable[[], bool],
        ended: Callable[[], None],
    ) -> None:
        self._started = started
        self._request = request
        self._is_over = is_over
        self._ended = ended
        self._cancelled = threading.Event()
        self._chunks: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        try:
            threading.Thread(target=self._run, name="askonce-local").start()
        except RuntimeError:
            ended()
            raise

    def cancel(self) -> None:
        """Let the model stop at the next token, or at the next piece of the prompt."""
        self._cancelled.set()

    def chunks(self, deadline: Deadline) -> Iterator[dict[str, Any]]:
        """Yield what the model says, in the shape of chat completion chunks.

        Raises:
            CallTimeoutError: `deadline` has passed. The model may be busy a little longer.
            Exception: whatever the engine raised.
        """
        while True:
            try:
                chunk = self._chunks.get(timeout=max(0.0, deadline.remaining()))
            except queue.Empty:
                raise CallTimeoutError from None
            if chunk is None:
                return
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def _run(self) -> None:
        try:
            self._started().handle_chat_completions(self._request, self._take)
        except Exception as error:  # noqa: BLE001
            # Raised again in the thread that waits.
            self._chunks.put(error)
        finally:
            self._chunks.put(None)
            self._ended()

    def _take(self, chunk: dict[str, Any]) -> bool:
        """Pass a chunk on; True tells the engine to stop."""
        self._chunks.put(chunk)
        return self._cancelled.is_set() or self._is_over()
