"""Values that tests start from; each test changes what it is about."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from askonce.core.access import Asker, Caller
from askonce.core.answers import Answer, FinishReason
from askonce.core.caching import Accepted, CacheRules
from askonce.core.flights import Lease
from askonce.core.purchases import Purchase
from askonce.core.questions import Question

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
DAY = timedelta(days=1)
CALLER = Caller(tenant="default")
ALICE = Asker(tenant="default", user_id="alice")
BOB = Asker(tenant="default", user_id="bob")
STRANGER = Asker(tenant="other", user_id="alice")
KEY = bytes(range(32))
ANY_FRESH = Accepted(now=NOW)
PLAIN = CacheRules()


def a_question(**changes: Any) -> Question:
    """Return a question about nothing in particular."""
    facts: dict[str, Any] = {
        "text": "What is a cache?",
        "provider": "claude",
        "model": "claude-haiku-5-5",
        "max_output_tokens": 1024,
    }
    return Question(**facts | changes)


def an_answer(**changes: Any) -> Answer:
    """Return an answer that may be kept."""
    facts: dict[str, Any] = {
        "text": "A place for what was paid for.",
        "provider": "claude",
        "model": "claude-haiku-5-5",
        "finish_reason": FinishReason.STOP,
        "tokens_in": 120,
        "tokens_out": 23,
        "cost": Decimal("0.000213"),
    }
    return Answer(**facts | changes)


def a_purchase(**changes: Any) -> Purchase:
    """Return an answer that came for Alice's question, and may be kept."""
    facts: dict[str, Any] = {
        "question": a_question(),
        "asker": ALICE,
        "lease": Lease(fingerprint=KEY, epoch=1, fence=1),
        "has_lease": True,
        "is_kept": True,
        "owner": "dead",
        "attempt_id": 1,
        "answer": an_answer(),
        "spent": None,
        "at": NOW,
    }
    return Purchase(**facts | changes)
