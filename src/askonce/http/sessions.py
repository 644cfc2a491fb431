"""Sessions: begin, list, read, rename, take out, delete."""

import json
from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from askonce.core.access import Caller
from askonce.core.conversations import ANYBODY, LONGEST_TITLE, NewSession, Spoken
from askonce.core.questions import MAX_TEXT_CHARACTERS
from askonce.core.stores import SessionFilter
from askonce.http.access import AnyCaller
from askonce.http.asking import KEY_PARAMETER
from askonce.http.bodies import documented, json_body
from askonce.http.fields import Name, Text
from askonce.http.messages import SessionItemOut, SessionOut, SessionsOut
from askonce.http.parameters import (
    USER_ID,
    before_id_of,
    cursor_to_place,
    id_of,
    idempotency_key_of,
    place_of,
)
from askonce.http.problems import problems
from askonce.services.conversations import Conversations

Title = Annotated[Text, Field(min_length=1, max_length=LONGEST_TITLE)]
JSON_LINES = "application/x-ndjson"


class SessionIn(BaseModel):
    """A conversation that is to begin. Only `title` is needed."""

    model_config = ConfigDict(extra="forbid", strict=True, title="NewSession")

    title: Title = Field(examples=["Capitals"])
    prompt: Text | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_TEXT_CHARACTERS,
        description="The user's first message. It is stored, and no model is asked yet",
    )
    user_id: str | None = Field(default=None, pattern=USER_ID, description="Whose it is")
    provider: Name | None = Field(default=None, description="Who is asked")
    model: Name | None = Field(default=None, description="A model of that provider")
    instructions: Text | None = Field(
        default=None, max_length=MAX_TEXT_CHARACTERS, description="The system prompt"
    )

    def new(self, caller: Caller) -> NewSession:
        return NewSession(
            user_id=self.user_id or caller.user_id or ANYBODY,
            title=self.title,
            provider=self.provider,
            model=self.model,
            instructions=self.instructions,
        )


class SessionChangesIn(BaseModel):
    """What is to change; null leaves a field open again."""

    model_config = ConfigDict(extra="forbid", strict=True, title="SessionChanges")

    title: Annotated[
        Title | None,
        # What null does to the other fields, it may not do to this one.
        WithJsonSchema({"type": "string", "minLength": 1, "maxLength": LONGEST_TITLE}),
    ] = None
    provider: Name | None = Field(default=None, description="Who is asked from now on")
    model: Name | None = Field(default=None, description="A model of that provider")
    instructions: Text | None = Field(default=None, max_length=MAX_TEXT_CHARACTERS)

    @field_validator("title")
    @classmethod
    def _named(cls, title: str | None) -> str | None:
        if title is None:
            message = "a session has a title"
            raise ValueError(message)
        return title


class SessionsQuery(BaseModel):
    """Which sessions to list."""

    user_id: str | None = Field(default=None, pattern=USER_ID)
    cursor: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=10, ge=1, le=100)

    def filter(self) -> SessionFilter:
        """Return the query in the product's own terms."""
        return SessionFilter(user_id=self.user_id, limit=self.limit, before=place_of(self.cursor))


class SessionQuery(BaseModel):
    """Which messages to show."""

    cursor: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=10, ge=1, le=100)
    format: Literal["json", "jsonl"] = Field(
        default="json",
        description="`jsonl`: the whole thread, one `{role, content}` a line, oldest first",
    )


def add_routes(app: FastAPI, conversations: Conversations) -> None:
    """Add the routes that ask no model."""

    @app.post(
        "/sessions",
        tags=["sessions"],
        summary="Begin a conversation",
        status_code=201,
        response_class=Response,
        responses={
            201: {
                "model": SessionOut,
                "headers": {"Location": {"schema": {"type": "string"}}},
            },
            **problems(400, 410, 413, 415, 422, 503),
        },
        openapi_extra=KEY_PARAMETER
        | documented(
            SessionIn,
            {"title": "Capitals", "user_id": "alice", "prompt": "What is the capital of France?"},
        ),
    )
    def begin(
        caller: AnyCaller,
        body: Annotated[SessionIn, Depends(json_body(SessionIn))],
        request: Request,
    ) -> Response:
        key = idempotency_key_of(request, caller, body)
        begun = conversations.begin(caller, body.new(caller), body.prompt, key=key)
        return Response(
            SessionOut.with_messages(begun.opened).model_dump_json(),
            status_code=201,
            media_type="application/json",
            headers={
                "Location": f"/sessions/{begun.opened.session.id}",
                **({"Idempotent-Replayed": "true"} if begun.is_replayed else {}),
            },
        )

    @app.get(
        "/sessions",
        tags=["sessions"],
        summary="Conversations, the most recently updated first",
        response_class=Response,
        responses={200: {"model": SessionsOut}, **problems(400, 422, 503)},
    )
    def newest(caller: AnyCaller, query: Annotated[SessionsQuery, Query()]) -> Response:
        page = conversations.newest(caller, query.filter())
        last = None if page.is_last else page.items[-1]
        return _json(
            SessionsOut(
                items=[SessionItemOut.of(session) for session in page.items],
                next_cursor=None if last is None else cursor_to_place(last.updated_at, last.id),
            )
        )

    @app.get(
        "/sessions/{id}",
        tags=["sessions"],
        summary="One conversation with its newest messages",
        description="With `format=jsonl` the whole thread, as the OpenAI and Anthropic clients"
        " take it: one `{role, content}` a line, oldest first, without summaries.",
        response_class=Response,
        responses={
            200: {"model": SessionOut, "content": {JSON_LINES: {"schema": {"type": "string"}}}},
            **problems(400, 404, 422, 503),
        },
    )
    def one(
        caller: AnyCaller,
        id: str,  # noqa: A002 - the contract's
        query: Annotated[SessionQuery, Query()],
    ) -> Response:
        session_id = id_of(id)
        if query.format == "jsonl":
            said = conversations.taken_out(caller, session_id)
            return StreamingResponse(_lines(said), media_type=JSON_LINES)
        opened = conversations.one(
            caller, session_id, limit=query.limit, before_id=before_id_of(query.cursor)
        )
        return _json(SessionOut.with_messages(opened))

    @app.patch(
        "/sessions/{id}",
        tags=["sessions"],
        summary="Rename a conversation, or continue it with another model",
        response_class=Response,
        responses={200: {"model": SessionItemOut}, **problems(400, 404, 413, 415, 422, 503)},
        openapi_extra=documented(SessionChangesIn, {"title": "Capitals of Europe"}),
    )
    def change(
        caller: AnyCaller,
        id: str,  # noqa: A002 - the contract's
        body: Annotated[SessionChangesIn, Depends(json_body(SessionChangesIn))],
    ) -> Response:
        changes = body.model_dump(exclude_unset=True)
        return _json(SessionItemOut.of(conversations.change(caller, id_of(id), changes)))

    @app.delete(
        "/sessions/{id}",
        tags=["sessions"],
        summary="Delete a conversation",
        description="With all its messages, and with the answers that nobody else was given.",
        status_code=204,
        response_class=Response,
        responses=problems(404, 503),
    )
    def remove(caller: AnyCaller, id: str) -> Response:  # noqa: A002 - the contract's
        conversations.remove(caller, id_of(id))
        return Response(status_code=204)


def _lines(said: Iterator[Spoken]) -> Iterator[bytes]:
    for one in said:
        message = {"role": one.role.value, "content": one.content}
        yield json.dumps(message, ensure_ascii=False).encode() + b"\n"


def _json(out: BaseModel) -> Response:
    return Response(out.model_dump_json(), media_type="application/json")
