"""Makes pages of templates. Whatever is put into one is escaped; nothing in them is a program."""

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi import Request, Response
from fastapi.routing import APIRoute

from askonce import __version__
from askonce.core.errors import AskonceError, UnauthenticatedError
from askonce.http import errors
from askonce.http.console import cookies
from askonce.http.console.files import FOLDER, addresses
from askonce.http.console.visitors import Browser, Visitor, Visitors
from askonce.http.errors import request_id_of
from askonce.http.streams import is_wanted

MEDIA_TYPE = "text/html; charset=utf-8"
SEE_OTHER = 303
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # A form's Origin would be hidden from ourselves, too, by no-referrer.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Vary": "Cookie, HX-Request",
}
_SECONDS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


class Pages:
    """All pages. `is_small` says that the embedded model answers where nobody else is named."""

    def __init__(self, *, provider: str, model: str, is_small: bool) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._templates.filters.update(moment=_moment, money=_money, number=_number)
        self._templates.globals.update(
            files=addresses(),
            version=__version__,
            default_provider=provider,
            default_model=model,
            is_small=is_small,
            query=query,
            share=_share,
            once=lambda: token_urlsafe(16),
        )

    def page(
        self,
        request: Request,
        browser: Browser | None,
        name: str,
        *,
        status: int = 200,
        **facts: Any,
    ) -> Response:
        """Return a page, or a part of one, for a browser."""
        written = self.written(name, browser, **facts)
        response = Response(written, status_code=status, media_type=MEDIA_TYPE, headers=_HEADERS)
        if browser is not None and browser.new_visit is not None:
            cookies.keep_visit(request, response, browser.new_visit)
        return response

    def written(self, name: str, browser: Browser | None, **facts: Any) -> str:
        """Return what a template says."""
        visitor = browser if isinstance(browser, Visitor) else None
        known = {
            "visitor": visitor,
            "form_token": "" if browser is None else browser.form_token,
            "user": None,
            **facts,
        }
        return self._templates.get_template(name).render(known)

    def problem(self, request: Request, error: Exception) -> Response:
        """Return what went wrong, in the form in which whoever asked can show it."""
        told = errors.of_error(error, request_id_of(request))
        if is_wanted(request.headers.get("accept", "")):
            return told
        is_part = is_htmx(request)
        if isinstance(error, UnauthenticatedError):
            if is_part:
                return Response(status_code=401, headers={"HX-Redirect": "/console/sign-in"})
            return self.sign_in(request, status=401)
        name = "_problem.html" if is_part else "problem.html"
        problem = json.loads(bytes(told.body))
        page = self.page(request, None, name, status=told.status_code, problem=problem)
        kept = ("retry-after", "ratelimit", "ratelimit-policy")
        page.headers.update({name: told.headers[name] for name in kept if name in told.headers})
        return page

    def sign_in(
        self, request: Request, *, status: int = 200, refused: str | None = None
    ) -> Response:
        """Return the page that asks for a key."""
        visitors: Visitors = request.app.state.visitors
        if request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site":
            # Behind a link from elsewhere the strict cookie is missing; behind our own it is not.
            return self.page(request, None, "again.html", status=status)
        return self.page(
            request,
            visitors.anybody(request),
            "sign_in.html",
            status=status,
            refused=refused,
            is_plain=cookies.is_plain(request),
        )


def is_htmx(request: Request) -> bool:
    """Return whether a part of a page is wanted, to be put into one that is shown already."""
    return request.headers.get("hx-request") == "true"


def route_class(pages: Pages) -> type[APIRoute]:
    """Return routes whose errors are pages."""

    class PageRoute(APIRoute):
        """A route of the console."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def handled(request: Request) -> Response:
                try:
                    return await handle(request)
                except AskonceError as error:
                    return pages.problem(request, error)

            return handled

    return PageRoute


def span(seconds: float) -> str:
    """Return how long something lasts, in the largest unit that is full."""
    for size, name in _SECONDS:
        count = int(seconds // size)
        if count:
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "less than a second"


def _moment(at: datetime | str) -> str:
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def _money(amount: str | Decimal | None) -> str:
    """Return dollars as people read them: what is less than a cent has all of its digits."""
    if amount is None:
        return "unknown"
    exact = Decimal(amount)
    if exact == 0:
        return "$0"
    return f"${exact:,.2f}" if abs(exact) >= 1 else f"${exact.normalize():f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def _share(part: int, whole: int) -> str:
    return "" if not whole else f"{100 * part / whole:.0f} %"


def query(**said: object) -> str:
    """Return what stands behind an address, without what is empty."""
    given = {name: value for name, value in said.items() if value not in (None, "", False)}
    return f"?{urlencode(given)}" if given else ""
