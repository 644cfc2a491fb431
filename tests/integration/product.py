"""The whole application with its real adapters, asked as a client does, read behind its back."""

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import func, select

from askonce.config import Settings
from askonce.core.clock import SystemClock
from askonce.db.rows import AnswerRow, AttemptRow
from askonce.main.process import build
from askonce.providers.claude import ClaudeProvider
from askonce.providers.openai import OpenAIProvider
from tests.stub.client import StubProvider

KEY = "sk-a-secret-key"
_PROBLEM = "application/problem+json"


class ImpatientClock(SystemClock):
    """Stands still, so that no slow machine makes a deadline pass; `skip` lets time pass.

    Waits between tries are only remembered. What a socket waits for takes real time all the same.
    """

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._monotonic = super().monotonic()

    def monotonic(self) -> float:
        return self._monotonic

    def sleep(self, seconds: float) -> None:
        if threading.current_thread().name.startswith("call"):
            self.waits.append(seconds)
        else:
            super().sleep(seconds)

    def skip(self, seconds: float) -> None:
        self._monotonic += seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a client got: the answer or the problem's type, and the words that came before it."""

    answer: dict[str, Any] | None = None
    problem: str | None = None
    words: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


class Product:
    """A running application that asks the stub provider; a context manager that ends it."""

    def __init__(self, database_url: str, stub: StubProvider, **changes: Any) -> None:
        chosen: dict[str, Any] = {
            "anthropic_base_url": stub.claude_url,
            "openai_base_url": stub.openai_url,
            "provider_timeout": 30.0,
            "circuit_failures": 1000,
        }
        settings = Settings(
            _env_file=None,
            database_url=database_url,
            anthropic_api_key=SecretStr(KEY),
            openai_api_key=SecretStr(KEY),
            **chosen | changes,
        )
        self.clock = ImpatientClock()
        app, self._process = build(settings, providers=None, clock=self.clock)
        self.client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        # Loading an SDK may take longer than a test's deadline.
        for provider in self._process.providers.values():
            if isinstance(provider, ClaudeProvider | OpenAIProvider):
                provider.warm()

    def ask(self, text: str, *, way: str = "plain", **body: Any) -> Outcome:
        """Have `text` analysed, and wait for the outcome; `way` is `plain` or `streamed`."""
        accept = "text/event-stream" if way == "streamed" else "application/json"
        replied = self.client.post(
            "/analyze/ann", json={"text": text, **body}, headers={"accept": accept}
        )
        headers = dict(replied.headers)
        if headers["content-type"].startswith("text/event-stream"):
            return _streamed(replied.text, headers)
        if headers["content-type"] == _PROBLEM:
            return Outcome(problem=replied.json()["type"], headers=headers, body=replied.text)
        return Outcome(answer=replied.json(), headers=headers, body=replied.text)

    def attempts(self) -> list[tuple[str, str, str | None]]:
        """Return provider, outcome and reason of all calls, the oldest first."""
        with self._process.database.reading() as tx:
            columns = (AttemptRow.provider, AttemptRow.outcome, AttemptRow.reason)
            rows = tx.connection.execute(select(*columns).order_by(AttemptRow.id))
            return [(row.provider, row.outcome, row.reason) for row in rows]

    def answers(self, text: str) -> int:
        """Return how many answers to `text` are stored."""
        with self._process.database.reading() as tx:
            statement = select(func.count()).where(AnswerRow.text == text)
            return int(tx.connection.execute(statement).scalar_one())


def _streamed(body: str, headers: dict[str, str]) -> Outcome:
    events = [event.split("\n", 1) for event in body.strip().split("\n\n")]
    read = [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in events
    ]
    words = "".join(data["text"] for name, data in read if name == "delta")
    last, data = read[-1]
    if last == "error":
        return Outcome(problem=data["type"], words=words, headers=headers, body=body)
    return Outcome(answer=data, words=words, headers=headers, body=body)
