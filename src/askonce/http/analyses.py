"""POST /analyze/{user_id}: a text goes in, an answer comes out."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from askonce.core.caching import CacheRules
from askonce.core.questions import MAX_TEXT_CHARACTERS
from askonce.http import streams
from askonce.http.access import AnyCaller
from askonce.http.asking import ANALYZE, HEADERS, PARAMETERS, Asking
from askonce.http.bodies import documented, json_body
from askonce.http.errors import request_id_of
from askonce.http.fields import MOST_TOKENS, Name, Text
from askonce.http.parameters import UserId, idempotency_key_of, rules_of
from askonce.http.preferences import preferred
from askonce.http.problems import problems
from askonce.http.shown import AnalysisOut, written
from askonce.services.analyses import Analyses, Draft
from askonce.services.preferences import Preferences

PATH = ANALYZE


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
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)

    def draft(self) -> Draft:
        return Draft(
            text=self.text,
            provider=self.provider,
            model=self.model,
            instructions=self.instructions,
            output_schema=self.output_schema,
            max_output_tokens=self.max_output_tokens,
        )


_STREAM: dict[str, Any] = {
    "example": (
        'event: delta\ndata: {"text": "Ang"}\n\nevent: delta\ndata: {"text": "ry."}\n\n'
        'event: done\ndata: {"id": 41, "result": "Angry.", "cached": false}\n\n'
    )
}


def add_routes(app: FastAPI, analyses: Analyses, preferences: Preferences, asking: Asking) -> None:
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
                "headers": HEADERS,
                "content": {streams.MEDIA_TYPE: {"schema": {"type": "string"}, **_STREAM}},
            },
            **problems(400, 402, 410, 413, 415, 422, 502, 503, 504),
        },
        openapi_extra=PARAMETERS
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
        caller: AnyCaller,
        user_id: UserId,
        body: Annotated[AnalyzeIn, Depends(json_body(AnalyzeIn))],
        rules: Annotated[CacheRules, Depends(rules_of)],
        request: Request,
    ) -> Response:
        is_streamed = streams.is_wanted(request.headers.get("accept", ""))
        boarded = await asking.boarded(
            analyses.request(
                caller,
                user_id,
                analyses.question(body.draft(), await preferred(preferences, caller, user_id)),
                rules=rules,
                key=idempotency_key_of(request, caller, body),
                is_streamed=is_streamed,
            ),
            request,
        )
        if is_streamed and not streams.has_failed(boarded.asked):
            return streams.streamed(
                boarded.asked,
                boarded.tape,
                request_id=request_id_of(request),
                headers=await asking.headers_of_stream(boarded),
                said=lambda asked: asked.analysis.answer.text,
                shown=lambda asked: written(asked.analysis).decode(),
            )
        asked = await asking.arrived(boarded)
        response = Response(written(asked.analysis), media_type="application/json")
        response.raw_headers += asking.headers(asked)
        return response
