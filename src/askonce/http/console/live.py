"""Live: what is going on now, from the numbers that /metrics shows."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from askonce.http.console.pages import Pages
from askonce.http.console.visitors import AVisitor, AWatcher
from askonce.telemetry.meters import Level
from askonce.telemetry.readings import Reading, readings

PATH = "/console/live"
_ANSWERS = "askonce_answers_total"
_CALLS = "askonce_provider_calls_total"
_WORKERS = "askonce_workers"


def add_routes(
    routes: APIRouter,
    pages: Pages,
    metrics: Callable[[], "Future[bytes]"],
    providers: Sequence[str],
) -> None:
    """Add the page, and the part of it that comes anew every few seconds."""

    async def levels() -> dict[str, Any]:
        text = await asyncio.wrap_future(metrics())
        return await run_in_threadpool(lambda: _levels(readings(text), providers))

    @routes.get(PATH)
    async def show(visitor: AVisitor, request: Request) -> Response:
        return pages.page(request, visitor, "live.html", live=await levels())

    @routes.get(PATH + "/levels")
    async def show_levels(visitor: AWatcher, request: Request) -> Response:
        return pages.page(request, visitor, "_levels.html", live=await levels())


def _levels(found: Sequence[Reading], providers: Sequence[str]) -> dict[str, Any]:
    now = {Level(one.name): one.value for one in found if one.name in _LEVELS and not one.labels}
    circuits = {one.labels["provider"]: int(one.value) for one in found if one.name == _CIRCUITS}
    calls: dict[str, dict[str, float]] = {}
    for one in found:
        if one.name == _CALLS:
            outcome = "answered" if one.labels["outcome"] == "answered" else "failed"
            of = calls.setdefault(one.labels["provider"], {"answered": 0.0, "failed": 0.0})
            of[outcome] += one.value
    none = {"answered": 0.0, "failed": 0.0}
    return {
        **{level.name.lower(): now.get(level, 0.0) for level in Level},
        "workers": sum(one.value for one in found if one.name == _WORKERS),
        "answers": {one.labels["way"]: one.value for one in found if one.name == _ANSWERS},
        "providers": [
            {"name": name, "open": circuits.get(name, 0), **calls.get(name, none)}
            for name in providers
        ],
    }


_CIRCUITS = Level.CIRCUITS.value
_LEVELS = {level.value for level in Level}
