"""GET /metrics: numbers for Prometheus. They name no tenant, no user and no key."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future

from fastapi import FastAPI, Response

from askonce.http.access import ANYBODY
from askonce.http.problems import problems
from askonce.telemetry.metrics import CONTENT_TYPE


def add_routes(app: FastAPI, shown: Callable[[], "Future[bytes]"]) -> None:
    """Add the route that a monitor reads. `shown` asks neither the database nor a provider."""

    @app.get(
        "/metrics",
        tags=["operations"],
        summary="Numbers of all workers, as Prometheus reads them",
        response_class=Response,
        dependencies=[ANYBODY],
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(),
        },
    )
    async def get_metrics() -> Response:
        return Response(await asyncio.wrap_future(shown()), headers={"content-type": CONTENT_TYPE})
