"""A provider that costs nothing and says what a test wants, without any SDK."""

import json
import re
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from askonce.core.answers import Answer, Delta, Finished, FinishReason
from askonce.core.clock import Deadline
from askonce.core.errors import ProviderError, ProviderUnavailableError
from askonce.core.questions import Question


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """An answer that is streamed up to `said`, and then breaks off with `error`."""

    said: str
    error: ProviderError


Outcome = str | Answer | ProviderError | BrokenOff


class FakeProvider:
    """Implements the port `Provider`: scripted with `will`, recording in `calls`.

    Without a script each call is answered with `answer to <text> #<number of the call>`, so that
    an answer that was not asked for anew, or is another question's, shows; in a conversation that
    is the content of the reply. `hold` keeps calls in flight until `let_go`.
    """

    def __init__(self, name: str = "fake") -> None:
        self.name: str = name
        self.calls: list[Question] = []
        self.max_running = 0
        self._script: deque[Outcome] = deque()
        self._lock = threading.Lock()
        self._may_answer = threading.Event()
        self._may_answer.set()
        self._running = 0
        self._has_call = threading.Condition(self._lock)

    def will(self, *outcomes: Outcome) -> None:
        """Let the next calls end so, one each: a text or an answer is given, an error raised."""
        with self._lock:
            self._script.extend(outcomes)

    def hold(self) -> None:
        """Let calls wait, as a slow model does, until `let_go` or their deadline."""
        self._may_answer.clear()

    def let_go(self) -> None:
        self._may_answer.set()

    def wait_for_calls(self, number: int, seconds: float = 60.0) -> None:
        """Wait until so many calls have been made.

        Raises:
            TimeoutError: they were not, in time.
        """
        with self._lock:
            if not self._has_call.wait_for(lambda: len(self.calls) >= number, seconds):
                raise TimeoutError(f"{len(self.calls)} of {number} calls")

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        said = self._said(question, deadline)
        if isinstance(said, BrokenOff):
            raise said.error
        return said

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        said = self._said(question, deadline)
        text = said.said if isinstance(said, BrokenOff) else said.text
        for piece in re.findall(r"\S*\s*", text):
            if piece:
                yield Delta(piece)
        if isinstance(said, BrokenOff):
            raise said.error
        yield Finished(said)

    def _said(self, question: Question, deadline: Deadline) -> Answer | BrokenOff:
        """Record a call, let it take its time, and return what it is answered with."""
        with self._lock:
            self.calls.append(question)
            number = len(self.calls)
            outcome = self._script.popleft() if self._script else None
            self._running += 1
            self.max_running = max(self.max_running, self._running)
            self._has_call.notify_all()
        try:
            if not self._may_answer.wait(max(0.0, deadline.remaining())) or deadline.has_passed():
                raise ProviderUnavailableError(self.name, "timeout", may_be_paid=True)
        finally:
            with self._lock:
                self._running -= 1
        if isinstance(outcome, ProviderError):
            raise outcome
        if isinstance(outcome, Answer | BrokenOff):
            return outcome
        text = outcome or f"answer to {question.text} #{number}"
        if question.is_turn and outcome is None:
            text = json.dumps({"content": text, "confidence": 0.75})
        return self._answer(question, text)

    def _answer(self, question: Question, text: str) -> Answer:
        return Answer(
            text=text,
            provider=self.name,
            model=question.model,
            finish_reason=FinishReason.STOP,
            tokens_in=max(1, _length(question) // 4),
            tokens_out=max(1, len(text) // 4),
            cost=Decimal("0.000123"),
        )


def _length(question: Question) -> int:
    return len(question.text) + sum(len(said.content) for said in question.messages or ())
