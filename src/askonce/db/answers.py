"""What providers said."""

import secrets
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, insert

from askonce.core.answers import Answer
from askonce.core.questions import Question
from askonce.db.columns import dollars, picodollars
from askonce.db.prepared import Prepared
from askonce.db.rows import AnswerRow

_SALT_BYTES = 32

# Built once: building a statement takes longer than running it.
_ADD = Prepared(insert(AnswerRow).returning(AnswerRow.id))


class SqlAnswers:
    """The answers, each kept once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(
        self, question: Question, answer: Answer, *, tenant: str, fingerprint: bytes, at: datetime
    ) -> Answer:
        """Keep an answer and return it as it will be read from now on."""
        # No choice that anything depends on, so it need not come from outside.
        salt = secrets.token_bytes(_SALT_BYTES)
        digest = answer.digest_with(salt, fingerprint)
        (answer_id,) = _ADD.one(
            self._connection,
            {
                "tenant": tenant,
                "fingerprint": fingerprint,
                "text": question.text,
                "result": answer.text,
                "is_structured": question.output_schema is not None,
                "provider": answer.provider,
                "model": answer.model,
                "finish_reason": answer.finish_reason.value,
                "tokens_in": answer.tokens_in,
                "tokens_out": answer.tokens_out,
                "cost": answer.cost,
                "salt": salt,
                "digest": digest,
                "created_at": at,
            },
        )
        cost = None if answer.cost is None else dollars(picodollars(answer.cost))
        return replace(answer, id=answer_id, digest=digest, cost=cost)
