"""What has happened before the browser looks: questions, a conversation, weeks of usage."""

import json
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from askonce import Client
from askonce.core.clock import SystemClock
from askonce.db.database import SqlDatabase
from tests.serving import Server
from tests.stub.client import StubProvider

_ASKED = [
    ("Two weeks late, and then the wrong colour.", "Angry: late, and not what was ordered."),
    ("The new kettle is quiet and quick. I like it.", "Happy: praises noise and speed."),
    ("What is a cache?", "A place where answers are kept, so that they need not be found again."),
]
_SAID = [
    ("What is the capital of France?", "Paris.", 0.98),
    ("And how many people live there?", "About two million in the city itself.", 0.81),
]
_USAGE = text(
    """INSERT INTO usage_daily (tenant, user_id, day, key_id, provider, model, slot, calls, failed,
         unpriced, tokens_in, tokens_out, cost, hits, collapsed, replays, saved_unpriced,
         saved_tokens_in, saved_tokens_out, saved_cost)
       VALUES ('default', 'alice', :day, 1, :provider, :model, 0, :calls, 0, 0, :tokens, :tokens,
         :cost, :hits, 0, 0, 0, 0, 0, :saved)"""
)


def tell(server: Server, key: str, stub: StubProvider, database: SqlDatabase) -> None:
    """Let it happen."""
    with Client(f"http://127.0.0.1:{server.port}", key) as client:
        for asked, answer in _ASKED:
            stub.will(f"ok text={answer}")
            client.analyze("alice", asked)
        client.analyze("alice", _ASKED[0][0])
        session = client.begin_session("Capitals", user_id="alice")
        for said, reply, confidence in _SAID:
            stub.will("ok text=" + json.dumps({"content": reply, "confidence": confidence}))
            client.say(session.id, said)
    today = SystemClock().now().date()
    with database.transaction() as tx:
        for ago in range(1, 14):
            if ago == 6:  # a day on which nobody asked
                continue
            for provider, model, size in (
                ("openai", "gpt-6-luna", 3),
                ("claude", "claude-haiku-5-5", 5),
            ):
                calls = 14 + (ago * 7 * size) % 23
                hits = 20 + (ago * 5 * size) % 41
                facts: dict[str, Any] = {
                    "day": (today - timedelta(days=ago)).isoformat(),
                    "provider": provider,
                    "model": model,
                    "calls": calls,
                    "hits": hits,
                    "tokens": calls * 900,
                    "cost": calls * size * 400_000_000,
                    "saved": hits * size * 400_000_000,
                }
                tx.connection.execute(_USAGE, facts)
