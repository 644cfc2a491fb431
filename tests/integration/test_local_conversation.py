"""A conversation with the embedded model that outgrows its window."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from askonce.config import Settings
from askonce.core.clock import SystemClock
from askonce.main.process import build
from askonce.providers import local

TURNS = 6
TOLD = "Please take your time, think of what I have told you before, and then tell me."


@pytest.mark.long
@pytest.mark.skipif(not local.is_installed(), reason="the embedded model is not installed")
def test_a_conversation_goes_on_when_it_outgrows_the_window(sqlite_url: str) -> None:
    chosen: dict[str, Any] = {
        "provider": "local",
        "context_tokens": {local.LOCAL_MODEL: 512},
        "max_output_tokens": 32,
        "deadline": 600,
    }
    settings = Settings(_env_file=None, database_url=sqlite_url, **chosen)
    app, _ = build(settings, providers=None, clock=SystemClock())

    with TestClient(app, base_url="http://localhost") as client:
        session = client.post("/sessions", json={"title": "Long"}).json()
        path = f"/sessions/{session['id']}"
        replies = [
            client.post(
                f"{path}/messages",
                json={"role": "user", "content": f"What is {number}? {TOLD} {TOLD}"},
            )
            for number in range(TURNS)
        ]
        told = client.get(path, params={"limit": 100}).json()["messages"]

    assert [reply.status_code for reply in replies] == [200] * TURNS
    contexts = [reply.json()["messages"][-1]["context"] for reply in replies]
    shown = [one["messages_sent"] + one["messages_summarised"] for one in contexts]
    assert shown == [2 * number + 1 for number in range(TURNS)]
    assert contexts[-1]["messages_summarised"] > 0
    assert [message["role"] for message in told].count("summary") > 0
