"""POST /sessions/{id}/messages and /summary: a model replies, or sums up."""

from typing import Annotated, Any, Literal

from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from askonce.core.caching import CacheRules
from askonce.core.conversations import Role
from askonce.core.preferences import Wishes
from askonce.core.questions import MAX_TEXT_CHARACTERS
from askonce.http import streams
from askonce.http.access import AnyCaller
from askonce.http.asking import HEADERS, PARAMETERS, Asking
from askonce.http.bodies import documented, json_body, parsed
from askonce.http.errors import request_id_of
from askonce.http.fields import MOST_TOKENS, Name, Text
from askonce.http.messages import MessageOut, SessionOut
from askonce.http.middleware import Headers
from askonce.http.parameters import id_of, idempotency_key_of, rules_of
from askonce.http.problems import problems
from askonce.services.summaries import Summaries, Summarising
from askonce.services.turns import Saying, Took, Turns

_STREAM: dict[str, Any] = {
    "example": (
        'event: delta\ndata: {"text": "Par"}\n\nevent: delta\ndata: {"text": "is."}\n\n'
        'event: done\ndata: {"id": 3, "messages": [{"role": "assistant", "content": "Paris."}]}\n\n'
    )
}


class MessageIn(BaseModel):
    """Something that is said. A user's message has a model reply, an assistant's is only kept."""

    model_config = ConfigDict(extra="forbid", strict=True, title="NewMessage")

    role: Literal["user", "assistant"] = Field(
        description="`assistant` brings in what was said elsewhere, and asks no model"
    )
    content: Text = Field(min_length=1, max_length=MAX_TEXT_CHARACTERS)
    provider: Name | None = Field(default=None, description="Who is asked, this time")
    model: Name | None = Field(default=None, description="A model of that provider")
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)

    @model_validator(mode="after")
    def _asks_for_a_reply(self) -> "MessageIn":
        is_asking = (self.provider, self.model, self.max_output_tokens) != (None, None, None)
        if self.role == Role.ASSISTANT.value and is_asking:
            message = "an assistant's message is only kept: nobody is asked"
            raise ValueError(message)
        return self

    def wishes(self) -> Wishes:
        return Wishes(
            provider=self.provider, model=self.model, max_output_tokens=self.max_output_tokens
        )


class SummaryIn(BaseModel):
    """Nothing can be said of a summary; the body may be left out."""

    model_config = ConfigDict(extra="forbid", title="NewSummary")


def add_routes(app: FastAPI, turns: Turns, summaries: Summaries, asking: Asking) -> None:
    """Add the routes that ask a model."""

    @app.post(
        "/sessions/{id}/messages",
        tags=["sessions"],
        summary="Say something, and have a model reply with the whole conversation before it",
        description=(
            "Turns of one session are taken one after the other; who would have to wait for too"
            " long gets 409. A user's message is kept before a model is asked. Where no reply"
            " follows it (`answered` is false), the same content or the same Idempotency-Key has"
            " it answered, and does not repeat it."
        ),
        response_class=Response,
        responses={
            200: {
                "model": SessionOut,
                "description": (
                    "The session with the messages of this turn, the reply last; as events where"
                    " `Accept: text/event-stream` asks so"
                ),
                "headers": HEADERS,
                "content": {streams.MEDIA_TYPE: {"schema": {"type": "string"}, **_STREAM}},
            },
            **problems(400, 402, 404, 409, 410, 413, 415, 422, 502, 503, 504),
        },
        openapi_extra=PARAMETERS
        | documented(
            MessageIn,
            {"role": "user", "content": "What is the capital of France?"},
            {"role": "assistant", "content": "Paris."},
        ),
    )
    async def say(
        caller: AnyCaller,
        id: str,  # noqa: A002 - the contract's
        body: Annotated[MessageIn, Depends(json_body(MessageIn))],
        rules: Annotated[CacheRules, Depends(rules_of)],
        request: Request,
    ) -> Response:
        is_asking = body.role == Role.USER.value
        is_streamed = is_asking and streams.is_wanted(request.headers.get("accept", ""))
        boarded = await asking.of(
            turns.say(
                Saying(
                    caller=caller,
                    session_id=id_of(id),
                    content=body.content,
                    wishes=body.wishes(),
                    rules=rules,
                    key=idempotency_key_of(request, caller, body),
                    is_streamed=is_streamed,
                    is_asking=is_asking,
                )
            )
        )
        if is_streamed and boarded.tape is not None and not streams.has_failed(boarded.took):
            return streams.streamed(
                boarded.took,
                boarded.tape,
                request_id=request_id_of(request),
                headers=asking.forwarded(boarded.way),
                said=_content,
                shown=_shown,
            )
        took = await asking.of(boarded.took)
        headers = asking.headers(took.asked) if is_asking else _replayed(took)
        if is_streamed:
            return streams.streamed(
                boarded.took,
                None,
                request_id=request_id_of(request),
                headers=headers,
                said=_content,
                shown=_shown,
            )
        return _json(_shown(took), headers)

    @app.post(
        "/sessions/{id}/summary",
        tags=["sessions"],
        summary="Sum a conversation up",
        description=(
            "The summary is kept in the session, and given again until something more is said."
        ),
        response_class=Response,
        responses={
            200: {
                "model": MessageOut,
                "description": "The summary; as events where `Accept: text/event-stream` asks so",
                "headers": HEADERS,
                "content": {streams.MEDIA_TYPE: {"schema": {"type": "string"}}},
            },
            **problems(400, 402, 404, 410, 413, 415, 422, 502, 503, 504),
        },
        openapi_extra=PARAMETERS,
    )
    async def summarise(
        caller: AnyCaller,
        id: str,  # noqa: A002 - the contract's
        rules: Annotated[CacheRules, Depends(rules_of)],
        request: Request,
    ) -> Response:
        body = parsed(SummaryIn, await request.body() or b"{}")
        is_streamed = streams.is_wanted(request.headers.get("accept", ""))
        boarded = await asking.of(
            summaries.summarise(
                Summarising(
                    caller=caller,
                    session_id=id_of(id),
                    rules=rules,
                    key=idempotency_key_of(request, caller, body),
                    is_streamed=is_streamed,
                )
            )
        )
        if is_streamed and not streams.has_failed(boarded.asked):
            return streams.streamed(
                boarded.asked,
                boarded.tape,
                request_id=request_id_of(request),
                headers=await asking.headers_of_stream(boarded),
                said=lambda asked: asked.message.content,
                shown=lambda asked: MessageOut.of(asked.message).model_dump_json(),
            )
        asked = await asking.arrived(boarded)
        return _json(MessageOut.of(asked.message).model_dump_json(), asking.headers(asked))


def _content(took: Took) -> str:
    return took.asked.message.content


def _shown(took: Took) -> str:
    return SessionOut.with_messages(took.opened).model_dump_json()


def _replayed(took: Took) -> Headers:
    return [(b"idempotent-replayed", b"true")] if took.is_replayed else []


def _json(body: str, headers: Headers) -> Response:
    response = Response(body, media_type="application/json")
    response.raw_headers += headers
    return response
