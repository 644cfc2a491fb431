"""Answers in a database, for tests that begin behind them."""

from datetime import datetime

from askonce.core.answers import Answer
from askonce.core.ports import Transaction
from askonce.core.questions import Question


def keep_answer(
    tx: Transaction,
    question: Question,
    answer: Answer,
    *,
    tenant: str,
    fingerprint: bytes,
    at: datetime,
) -> int:
    """Keep an answer and return its id."""
    kept = tx.answers.keep(question, answer, tenant=tenant, fingerprint=fingerprint, at=at)
    assert kept.id is not None
    return kept.id
