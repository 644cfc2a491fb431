"""POST /analyze/{user_id}: a text goes in, an answer comes out."""

from concurrent.futures import Future
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from askonce.core.access import Caller
from askonce.core.caching import CacheRules
from askonce.core.landings import Asked
from askonce.core.questions import MAX_TEXT_CHARACTERS
from askonce.http import streams
from askonce.http.asking import Asking
from askonce.http.bodies import documented, json_body
from askonce.http.errors import request_id_of
from askonce.http.parameters import UserId, cache_rules_of, caller_of, idempotency_key_of
from askonce.http.problems import problems
from askonce.http.shown import AnalysisOut, written
from askonce.services.analyses import Analyses, Draft

PATH = "/analyze/{user_id}"

_LONGEST_NAME = 128
_MOST_TOKENS = 1_000_000


def _storable(text: str) -> str:
    if "\x00" in text:
        message = "may not contain the character NUL (U+0000)"
        raise ValueError(message)
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "may not contain a lone surrogate"
        raise ValueError(message) from None
    return text


Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[
    str, Field(min_length=1, max_length=_LONGEST_NAME, pattern=r"^[A-Za-z0-9._:/@+-]+$")
]


class AnalyzeIn(BaseModel):
    """A question. Only `text` is needed; the rest come from settings."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Question")

    text: Text = Field(
        min_length=1,
        max_length=MAX_TEXT_CHARACTERS,
        description="What is to be analysed. Counts exactly as it comes: nothing is trimmed.",
    )
    provider: Name | None = Field(default=None, description="`claude`, `openai` or `local`")
    model: Name | None = Field(default=None, description="A model of that provider")
    instructions: Text | None = Field(
        default=None, max_length=MAX_TEXT_CHARACTERS, description="The system prompt"
    )
    output_schema: dict[str, Any] | None = Field(
        default=None, description="A JSON Schema that the answer must fit"
    )
    max_output_tokens: int | None = Field(default=None, ge=1, le=_MOST_TOKENS)

    def draft(self) -> Draft:
        return Draft(
            text=self.text,
            provider=self.provider,
            model=self.model,
            instructions=self.instructions,
            output_schema=self.output_schema,
            max_output_tokens=self.max_output_tokens,
        )


# What is read straight from the headers, so that a wrong one is not a matter of fields.
_PARAMETERS: dict[str, Any] = {
    "parameters": [
        {
            "name": "Cache-Control",
            "in": "header",
            "schema": {"type": "string"},
            "description": (
                "`no-cache`: ask anew and replace the entry; `no-store`: neither read nor write"
                " the cache; `max-age=N`: accept an entry younger than N seconds;"
                " `only-if-cached`: an entry or 504"
            ),
        },
        {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": (
                "Makes repeats of this request safe for 24 hours: they are answered with the very"
                " same body and `Idempotent-Replayed: true`"
            ),
        },
    ]
}
_STREAM: dict[str, Any] = {
    "example": (
        'event: delta\ndata: {"text": "Ang"}\n\nevent: delta\ndata: {"text": "ry."}\n\n'
        'event: done\ndata: {"id": 41, "result": "Angry.", "cached": false}\n\n'
    )
}
_HEADERS: dict[str, Any] = {
    "Cache-Status": {
        "description": (
            "Where the answer came from (RFC 9211): `askonce; hit; ttl=86213`,"
            " `askonce; fwd=uri-miss; stored`, `askonce; fwd=uri-miss; collapsed`"
            " or `askonce; fwd=request`"
        ),
        "schema": {"type": "string"},
    },
    "Age": {
        "description": "On a hit: how many seconds ago the answer was stored",
        "schema": {"type": "integer"},
    },
    "Idempotent-Replayed": {
        "description": "`true` where the Idempotency-Key was answered before",
        "schema": {"type": "string"},
    },
}


def add_routes(app: FastAPI, analyses: Analyses, asking: Asking) -> None:
    """Add the route that asks."""

    @app.post(
        PATH,
        tags=["analyses"],
        summary="Analyse a text, or answer from the cache",
        response_class=Response,
        responses={
            200: {
                "model": AnalysisOut,
                "description": "The answer; as events where `Accept: text/event-stream` asks so",
                "headers": _HEADERS,
                "content": {streams.MEDIA_TYPE: {"schema": {"type": "string"}, **_STREAM}},
            },
            **problems(400, 410, 413, 415, 422, 502, 503, 504),
        },
        openapi_extra=_PARAMETERS
        | documented(
            AnalyzeIn,
            {"text": "Is this review happy or angry? 'Two weeks late, and then the wrong colour.'"},
            {
                "text": "Two weeks late, and then the wrong colour.",
                "instructions": "Classify the sentiment of the review.",
                "output_schema": {
                    "type": "object",
                    "properties": {"sentiment": {"enum": ["happy", "angry", "neutral"]}},
                    "required": ["sentiment"],
                    "additionalProperties": False,
                },
            },
        ),
    )
    async def analyze(
        user_id: UserId,
        body: Annotated[AnalyzeIn, Depends(json_body(AnalyzeIn))],
        rules: Annotated[CacheRules, Depends(rules_of)],
        caller: Annotated[Caller, Depends(caller_asking)],
        request: Request,
    ) -> Response:
        is_streamed = streams.is_wanted(request.headers.get("accept", ""))
        boarded = await asking.boarded(
            analyses.request(
                caller,
                user_id,
                analyses.question(body.draft()),
                rules=rules,
                key=idempotency_key_of(request, caller, body),
                is_streamed=is_streamed,
            )
        )
        if is_streamed and not _has_failed(boarded.asked):
            return streams.streamed(
                boarded,
                request_id=request_id_of(request),
                headers=await asking.headers_of_stream(boarded),
                shown=lambda asked: written(asked.analysis).decode(),
            )
        asked = await asking.arrived(boarded)
        response = Response(written(asked.analysis), media_type="application/json")
        response.raw_headers += asking.headers(asked)
        return response


async def rules_of(request: Request) -> CacheRules:
    """Async, like all dependencies here: a synchronous one costs a hop to another thread."""
    return cache_rules_of(request)


async def caller_asking(request: Request) -> Caller:
    """Return who is asking."""
    return caller_of(request)


def _has_failed(asked: "Future[Asked]") -> bool:
    """Return whether it is known already that there will be no answer: no stream is begun then."""
    return asked.done() and asked.exception() is not None
