"""Is this process alive, and may it be sent requests?"""

import asyncio
from collections.abc import Callable
from typing import Literal

from fastapi import FastAPI, Response
from pydantic import BaseModel

from askonce import __version__
from askonce.core.errors import DatabaseUnavailableError, NotReadyError
from askonce.http.access import ANYBODY
from askonce.http.problems import problems
from askonce.services.health import Health

_PATIENCE_SECONDS = 4.0


class HealthOut(BaseModel):
    """What a monitor wants to know."""

    status: Literal["ok"] = "ok"
    version: str = __version__
    database: Literal["ok"] = "ok"
    provider: str
    model: str


class ReadyOut(BaseModel):
    """Migrated, started and not draining."""

    status: Literal["ready"] = "ready"


def add_routes(
    app: FastAPI, health: Health, *, provider: str, model: str, is_ready: Callable[[], bool]
) -> None:
    """Add the routes for monitors and load balancers."""

    @app.get(
        "/health",
        tags=["operations"],
        dependencies=[ANYBODY],
        summary="Whether the service and its database are well; never calls a provider",
        response_class=Response,
        responses={200: {"model": HealthOut}, **problems(503)},
    )
    async def get_health() -> Response:
        try:
            await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(health.check())), _PATIENCE_SECONDS
            )
        except TimeoutError:
            raise DatabaseUnavailableError from None
        body = HealthOut(provider=provider, model=model)
        return Response(body.model_dump_json(), media_type="application/json")

    @app.get(
        "/ready",
        tags=["operations"],
        dependencies=[ANYBODY],
        summary="Whether requests should be sent here",
        response_class=Response,
        responses={200: {"model": ReadyOut}, **problems(503)},
    )
    async def get_ready() -> Response:
        if not is_ready():
            raise NotReadyError
        return Response(ReadyOut().model_dump_json(), media_type="application/json")
