"""Puts the routes together."""

from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, fields

from anyio import to_thread
from fastapi import FastAPI

from askonce import __version__
from askonce.core.clock import Clock
from askonce.http import (
    analyses,
    audit,
    errors,
    health,
    history,
    metrics,
    preferences,
    sessions,
    turns,
    usage,
    users,
)
from askonce.http.access import guard
from askonce.http.asking import Asking
from askonce.http.authentication import Authentication
from askonce.http.console.files import paths as console_files
from askonce.http.console.site import ConsoleParts, add_console
from askonce.http.console.visitors import DEPENDENCIES
from askonce.http.counting import Counting
from askonce.http.docs import add_docs, paths
from askonce.http.fast_lane import FastLane
from askonce.http.middleware import RequestEdge
from askonce.services.access import Access
from askonce.services.analyses import Analyses
from askonce.services.ask_once import AskOnce
from askonce.services.bookkeeping import Books
from askonce.services.conversations import Conversations
from askonce.services.door import Door
from askonce.services.erasure import Erasure
from askonce.services.exports import Exports
from askonce.services.health import Health
from askonce.services.preferences import Preferences
from askonce.services.sign_ins import SignInService
from askonce.services.summaries import Summaries
from askonce.services.turns import Turns
from askonce.telemetry.meters import Meters

_DESCRIPTION = """
A text goes in, a model's answer comes out, and the same question is not paid for twice within
24 hours. `Cache-Status` says where an answer came from; `Cache-Control` in a request says which
kept answers it accepts. Every error is a problem as in RFC 9457 and has a `request_id`.
"""


Application = FastLane

# Each may hold a database connection, so there are fewer than the pool has.
READING_THREADS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the routes need. `start` and `stop` may take their time; they get a thread."""

    access: Access
    sign_ins: SignInService
    ask_once: AskOnce
    analyses: Analyses
    conversations: Conversations
    turns: Turns
    summaries: Summaries
    preferences: Preferences
    erasure: Erasure
    exports: Exports
    books: Books
    health: Health
    meters: Meters
    metrics: Callable[[], "Future[bytes]"]
    clock: Clock
    provider: str
    model: str
    models: Mapping[str, str]
    is_limited: bool
    door: Door
    new_id: Callable[[], str]
    start: Callable[[], None]
    stop: Callable[[], None]


def create(parts: Parts) -> Application:
    """Return the application, ready to be served."""
    app = FastAPI(
        title="askonce",
        version=__version__,
        summary="An AI analysis service that remembers",
        description=_DESCRIPTION,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan(parts),
    )
    errors.add_handlers(app)
    asking = Asking(parts.ask_once, parts.clock)
    analyses.add_routes(app, parts.analyses, parts.preferences, asking)
    history.add_routes(app, parts.analyses)
    sessions.add_routes(app, parts.conversations)
    turns.add_routes(app, parts.turns, parts.summaries, asking)
    preferences.add_routes(app, parts.preferences)
    users.add_routes(app, parts.erasure, parts.exports)
    usage.add_routes(app, parts.books)
    audit.add_routes(app, parts.books)
    health.add_routes(
        app, parts.health, provider=parts.provider, model=parts.model, is_ready=parts.door.is_open
    )
    metrics.add_routes(app, parts.metrics)
    add_docs(app)
    add_console(app, _console(parts), asking)
    authentication = Authentication(parts.access)
    counting = Counting(asking) if parts.is_limited else None
    guard(
        app,
        authentication,
        files=[*paths(), *console_files(), str(app.openapi_url)],
        visited=DEPENDENCIES,
        counting=counting,
    )
    edge = RequestEdge(app, new_id=parts.new_id, door=parts.door, meters=parts.meters)
    return FastLane(
        edge,
        authentication=authentication,
        analyses=parts.analyses,
        preferences=parts.preferences,
        asking=asking,
    )


def _console(parts: Parts) -> ConsoleParts:
    shared = (field.name for field in fields(ConsoleParts))
    return ConsoleParts(**{name: getattr(parts, name) for name in shared})


def _lifespan(parts: Parts) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = READING_THREADS
        await to_thread.run_sync(parts.start)
        try:
            yield
        finally:
            await to_thread.run_sync(parts.stop)

    return lifespan
