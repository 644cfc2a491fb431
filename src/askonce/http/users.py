"""DELETE /users/{user_id}, and GET /users/{user_id}/export."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from askonce import __version__
from askonce.core import budgets
from askonce.core.answers import Analysis
from askonce.core.budgets import Unit
from askonce.core.conversations import Message, Session
from askonce.core.erasure import Receipt
from askonce.core.exports import BatchLine, Call, Held, KnownKey, Limit, UsageDay
from askonce.core.preferences import Wishes
from askonce.core.usage import COUNTED
from askonce.http import shown
from askonce.http.access import AnyCaller
from askonce.http.messages import MessageOut
from askonce.http.parameters import UserId
from askonce.http.problems import problems
from askonce.http.shown import dollars, moment
from askonce.services.erasure import Erasure
from askonce.services.exports import Exports

JSON_LINES = "application/x-ndjson"
FORMAT = 1


class DeletedOut(BaseModel):
    """How many rows of each kind were deleted."""

    analyses: int = Field(examples=[120])
    answers: int = Field(
        description="Those that nobody else was given, with their text and cache entries",
        examples=[97],
    )
    sessions: int = Field(examples=[4])
    messages: int = Field(examples=[38])
    preferences: int = Field(examples=[1])
    idempotency_keys: int = Field(examples=[12])
    usage_days: int = Field(description="Of the daily sums, one for each model", examples=[31])
    sign_ins: int = Field(description="Browsers that were signed in to the console", examples=[1])
    batch_lines: int = Field(
        description="Of `askonce batch --provider-batch`, as far as no record is written",
        examples=[0],
    )
    spooled_answers: int = Field(
        description="Paid answers that waited in files of this host", examples=[0]
    )


class AnonymisedOut(BaseModel):
    """How many rows stay as proof of what was spent, without user and question."""

    calls: int = Field(examples=[97])


class ReceiptOut(BaseModel):
    """What an erasure did. Of an unknown user there is nothing to erase: all is 0."""

    user_id: str = Field(examples=["alice"])
    erased_at: str = Field(examples=["2026-11-22T09:00:00.000000Z"])
    deleted: DeletedOut
    anonymised: AnonymisedOut

    @classmethod
    def of(cls, receipt: Receipt) -> "ReceiptOut":
        """Return what a client sees of an erasure."""
        return cls(
            user_id=receipt.user_id,
            erased_at=moment(receipt.erased_at),
            deleted=DeletedOut(**receipt.deleted),
            anonymised=AnonymisedOut(**receipt.anonymised),
        )


def add_routes(app: FastAPI, erasure: Erasure, exports: Exports) -> None:
    """Add the routes of what is held about a user."""

    @app.delete(
        "/users/{user_id}",
        tags=["users"],
        summary="Erase a user",
        description=(
            "Deletes everything about the user in one transaction, and with it the answers and"
            " cache entries that nobody else uses. What is under way for the user comes to"
            " nothing: those requests are answered with 410. Doing it again finds nothing."
        ),
        response_class=Response,
        responses={200: {"model": ReceiptOut}, **problems(422, 503)},
    )
    def erase(caller: AnyCaller, user_id: UserId) -> Response:
        receipt = ReceiptOut.of(erasure.erase(caller, user_id))
        return Response(receipt.model_dump_json(), media_type="application/json")

    @app.get(
        "/users/{user_id}/export",
        tags=["users"],
        summary="Everything that is held about a user",
        description=(
            "One JSON object a line, each with a `kind`: `export` first (whose it is, when and in"
            " which format), then `preferences`, `budget`, `analysis`, `session` followed by its"
            " `message`s, `call` (to a provider), `usage` (of a day and a model) and"
            " `idempotency_key`, and `end` last, which counts the lines of each kind. Without"
            " the line `end` an export was cut off."
        ),
        response_class=Response,
        responses={
            200: {
                "description": "The export, streamed",
                "content": {JSON_LINES: {"schema": {"type": "string"}}},
            },
            **problems(422, 503),
        },
    )
    def export(caller: AnyCaller, user_id: UserId) -> Response:
        began, portions = exports.begin(caller, user_id)
        return StreamingResponse(
            written(user_id, began, portions),
            media_type=JSON_LINES,
            headers={"Content-Disposition": f'attachment; filename="{user_id}.ndjson"'},
        )


def written(user_id: str, began: datetime, portions: Iterator[Sequence[Held]]) -> Iterator[bytes]:
    """Yield an export: a first line, some lines for each portion, a last line that counts them."""
    head = {"format": FORMAT, "askonce": __version__, "user_id": user_id}
    yield _line("export", {**head, "exported_at": moment(began)})
    counts: Counter[str] = Counter()
    for portion in portions:
        counts.update(_kind(held) for held in portion)
        yield b"".join(_shown(held) for held in portion)
    yield _line("end", {"lines": dict(sorted(counts.items()))})


def _line(kind: str, facts: Mapping[str, Any]) -> bytes:
    return _json({"kind": kind, **facts}) + b"\n"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _kind(held: Held) -> str:
    return _KINDS[type(held)]


def _shown(held: Held) -> bytes:
    """Return the line that is about something, in the words of the other endpoints."""
    match held:
        case Analysis():
            # Not by way of a model: a history may have a hundred thousand of these.
            text = _json(held.text)
            return b'{"kind":"analysis","text":%b,%b\n' % (text, shown.written(held)[1:])
        case Session():
            facts = _session(held)
        case Message():
            facts = {"session_id": held.session_id, **MessageOut.of(held).model_dump(mode="json")}
        case Limit():
            facts = _limit(held)
        case UsageDay():
            facts = _usage(held)
        case Call():
            facts = _call(held)
        case KnownKey():
            facts = _key(held)
        case BatchLine():
            facts = _batch_line(held)
        case _:
            facts = asdict(held)
    return _line(_kind(held), facts)


_KINDS: dict[type, str] = {
    Wishes: "preferences",
    Analysis: "analysis",
    Session: "session",
    Message: "message",
    Call: "call",
    Limit: "budget",
    UsageDay: "usage",
    KnownKey: "idempotency_key",
    BatchLine: "batch_line",
}


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "title": session.title,
        "provider": session.provider,
        "model": session.model,
        "instructions": session.instructions,
        "created_at": moment(session.created_at),
        "updated_at": moment(session.updated_at),
    }


def _call(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "provider": call.provider,
        "model": call.model,
        "outcome": call.outcome,
        "tokens_in": call.tokens_in,
        "tokens_out": call.tokens_out,
        "cost_usd": dollars(call.cost),
        "started_at": moment(call.started_at),
        "finished_at": None if call.finished_at is None else moment(call.finished_at),
    }


def _limit(limit: Limit) -> dict[str, Any]:
    is_money = limit.unit == Unit.USD.value
    amount = dollars(budgets.dollars(limit.amount)) if is_money else limit.amount
    return {"amount": amount, "unit": limit.unit, "period": limit.period}


def _usage(usage: UsageDay) -> dict[str, Any]:
    money = {name: dollars(getattr(usage.totals, name)) for name in ("cost", "saved_cost")}
    counts = {name: getattr(usage.totals, name) for name in COUNTED if name not in money}
    model = {"provider": usage.provider, "model": usage.model}
    return {
        "day": usage.day.isoformat(),
        **model,
        **counts,
        **{f"{n}_usd": m for n, m in money.items()},
    }


def _key(key: KnownKey) -> dict[str, Any]:
    return {
        "analysis_id": key.analysis_id,
        "session_id": key.session_id,
        "message_id": key.message_id,
        "created_at": moment(key.created_at),
    }


def _batch_line(line: BatchLine) -> dict[str, Any]:
    question = line.question
    return {
        "text": question.text,
        "provider": question.provider,
        "model": question.model,
        "instructions": question.instructions,
        "output_schema": question.schema(),
        "max_output_tokens": question.max_output_tokens,
    }
