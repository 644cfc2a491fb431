"""GET and PUT /users/{user_id}/preferences."""

from typing import Annotated

from fastapi import Depends, FastAPI, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field

from askonce.core.access import Caller
from askonce.core.preferences import LONGEST_INSTRUCTIONS, Wishes
from askonce.http.access import AnyCaller
from askonce.http.bodies import documented, json_body
from askonce.http.fields import MOST_TOKENS, Name, Text
from askonce.http.parameters import UserId
from askonce.http.problems import problems
from askonce.services.preferences import Preferences


class PreferencesBody(BaseModel):
    """What a user wants where a request leaves it open; what is null or missing stays open."""

    model_config = ConfigDict(extra="forbid", strict=True, title="Preferences")

    provider: Name | None = Field(default=None, examples=["claude"])
    model: Name | None = Field(default=None, description="A model of that provider")
    instructions: Text | None = Field(
        default=None, max_length=LONGEST_INSTRUCTIONS, description="The system prompt"
    )
    max_output_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS)

    @classmethod
    def of(cls, wishes: Wishes) -> "PreferencesBody":
        """Return what a client sees of preferences."""
        return cls(
            provider=wishes.provider,
            model=wishes.model,
            instructions=wishes.instructions,
            max_output_tokens=wishes.max_output_tokens,
        )

    def wishes(self) -> Wishes:
        return Wishes(
            provider=self.provider,
            model=self.model,
            instructions=self.instructions,
            max_output_tokens=self.max_output_tokens,
        )


def add_routes(app: FastAPI, preferences: Preferences) -> None:
    """Add the routes of preferences."""

    @app.get(
        "/users/{user_id}/preferences",
        tags=["users"],
        summary="What a user wants where a request leaves it open",
        response_class=Response,
        responses={200: {"model": PreferencesBody}, **problems(422, 503)},
    )
    def read(caller: AnyCaller, user_id: UserId) -> Response:
        return _json(preferences.read(caller, user_id))

    @app.put(
        "/users/{user_id}/preferences",
        tags=["users"],
        summary="Replace a user's preferences",
        description=(
            "They fill what a request or a session leaves open, and the request wins. What is not"
            " given is open again."
        ),
        response_class=Response,
        responses={200: {"model": PreferencesBody}, **problems(400, 413, 415, 422, 503)},
        openapi_extra=documented(
            PreferencesBody, {"provider": "claude", "instructions": "Answer in French."}
        ),
    )
    async def replace(
        caller: AnyCaller,
        user_id: UserId,
        body: Annotated[PreferencesBody, Depends(json_body(PreferencesBody))],
    ) -> Response:
        wishes = await run_in_threadpool(preferences.put, caller, user_id, body.wishes())
        return _json(wishes)


async def preferred(preferences: Preferences, caller: Caller, user_id: str) -> Wishes:
    """Return a user's preferences, from the database where they are not known here."""
    known = preferences.known(caller.tenant, user_id)
    if known is not None:
        return known
    return await run_in_threadpool(preferences.of, caller.tenant, user_id)


def _json(wishes: Wishes) -> Response:
    return Response(PreferencesBody.of(wishes).model_dump_json(), media_type="application/json")
