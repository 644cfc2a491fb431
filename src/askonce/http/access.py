"""Who may call which route: each says it by its first dependency, and is not served without.

The route decides, never the path that a request came with: paths can be written in many ways.
"""

from collections.abc import Callable, Collection
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request
from fastapi.routing import APIRoute

from askonce.core.access import Caller, Role
from askonce.core.errors import ForbiddenError
from askonce.http.authentication import Authentication
from askonce.http.counting import Counting
from askonce.http.errors import request_id_of
from askonce.http.problems import problems
from askonce.telemetry import requests

_SCHEMES: dict[str, Any] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ask_...",
        "description": "A key that `askonce keys create` made",
    },
    "x-api-key": {
        "type": "apiKey",
        "in": "header",
        "name": "x-api-key",
        "description": "The same key, for clients that send it so",
    },
}


async def anybody(_request: Request) -> None:
    """Need no key: for what tells nothing of anybody."""


async def any_caller(request: Request) -> Caller:
    """Return who is calling; where the path names a user, one who reaches that user.

    Async, like all dependencies here: a synchronous one costs a hop to another thread.
    """
    authentication: Authentication = request.app.state.authentication
    caller = authentication.caller(request.scope["headers"], request_id_of(request))
    user_id = request.path_params.get("user_id")
    requests.tell_of_caller(caller, user_id)
    if user_id is not None and not caller.reaches(user_id):
        raise ForbiddenError
    counting: Counting | None = request.app.state.counting
    if counting is not None:
        await counting.count(request, caller)
    return caller


async def admin_caller(request: Request) -> Caller:
    """Return who is calling, who must be an admin."""
    caller = await any_caller(request)
    if caller.role is not Role.ADMIN:
        raise ForbiddenError
    return caller


# As a route's first parameter …
AnyCaller = Annotated[Caller, Depends(any_caller)]
AdminCaller = Annotated[Caller, Depends(admin_caller)]
# … or in its `dependencies`.
ANYBODY = Depends(anybody)

_KEYED: Collection[Callable[..., Any]] = (any_caller, admin_caller)


def guard(
    app: FastAPI,
    authentication: Authentication,
    *,
    files: Collection[str],
    visited: Collection[Callable[..., Any]] = (),
    counting: Counting | None = None,
) -> None:
    """Have callers authenticated and counted, and say so in OpenAPI.

    `files` are paths that need no key; `visited` are the dependencies of the console's pages.

    Raises:
        TypeError: a route does not say who may call it.
    """
    app.state.authentication = authentication
    app.state.counting = counting
    for route in app.routes:
        declared = _declared(route)
        if declared in _KEYED and isinstance(route, APIRoute):
            route.responses = {**problems(401, 403, 429), **route.responses}
            _document(route)
        elif declared not in (anybody, *visited) and getattr(route, "path", None) not in files:
            raise TypeError(f"{route!r} does not say who may call it: see {__name__}")
    _add_schemes(app)


def _declared(route: object) -> Callable[..., Any] | None:
    """Return a route's first dependency: before it nothing of a request may be looked at."""
    if not isinstance(route, APIRoute) or not route.dependant.dependencies:
        return None
    return route.dependant.dependencies[0].call


def _document(route: APIRoute) -> None:
    either: list[dict[str, list[str]]] = [{scheme: []} for scheme in _SCHEMES]
    route.openapi_extra = {**(route.openapi_extra or {}), "security": either}


def _add_schemes(app: FastAPI) -> None:
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        document = describe()
        document.setdefault("components", {})["securitySchemes"] = _SCHEMES
        return document

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own way to extend it
