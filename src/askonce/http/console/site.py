"""Puts the pages together."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from secrets import token_urlsafe

from fastapi import APIRouter, FastAPI

from askonce.core.clock import Clock
from askonce.http.asking import Asking
from askonce.http.console import (
    ask,
    audit,
    conversations,
    history,
    live,
    sign_in,
    turns,
    usage,
)
from askonce.http.console.files import add_files
from askonce.http.console.pages import Pages, route_class
from askonce.http.console.visitors import Visitors
from askonce.services.analyses import Analyses
from askonce.services.bookkeeping import Books
from askonce.services.conversations import Conversations
from askonce.services.exports import Exports
from askonce.services.preferences import Preferences
from askonce.services.sign_ins import SignInService
from askonce.services.turns import Turns

_EMBEDDED = "local"
# As many random characters as `cookies` knows a token by.
_TOKEN_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleParts:
    """What the pages need. `models` has every configured provider with its default model."""

    sign_ins: SignInService
    analyses: Analyses
    conversations: Conversations
    turns: Turns
    preferences: Preferences
    exports: Exports
    books: Books
    metrics: Callable[[], "Future[bytes]"]
    clock: Clock
    provider: str
    models: Mapping[str, str]


def add_console(app: FastAPI, parts: ConsoleParts, asking: Asking) -> None:
    """Serve the console at `/`, by the services that the API is served by."""
    providers = dict(parts.models)
    pages = Pages(
        provider=parts.provider,
        model=providers[parts.provider],
        is_small=parts.provider == _EMBEDDED,
    )
    app.state.visitors = Visitors(parts.sign_ins, lambda: token_urlsafe(_TOKEN_BYTES))
    routes = APIRouter(route_class=route_class(pages), include_in_schema=False)
    sign_in.add_routes(routes, pages, parts.sign_ins)
    ask.add_routes(
        routes,
        pages,
        parts.analyses,
        parts.preferences,
        asking,
        providers=providers,
        clock=parts.clock,
    )
    conversations.add_routes(routes, pages, parts.conversations, providers=providers)
    turns.add_routes(routes, pages, parts.turns, asking)
    history.add_routes(routes, pages, parts.analyses, parts.exports, providers=providers)
    usage.add_routes(routes, pages, parts.books, parts.clock)
    live.add_routes(routes, pages, parts.metrics, list(providers))
    audit.add_routes(routes, pages, parts.books)
    # Not included: the guard is to see each of them.
    app.router.routes += routes.routes
    add_files(app)
