"""Signing in and out: a key is shown once, and a cookie stands for it from then on."""

import re

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from askonce.core.errors import RateLimitedError, UnauthenticatedError
from askonce.http import errors
from askonce.http.console import cookies
from askonce.http.console.pages import SEE_OTHER, Pages
from askonce.http.console.visitors import ABrowser, AVisitor
from askonce.http.errors import request_id_of
from askonce.services.sign_ins import SignInService

_KEY = re.compile(r"ask_[A-Za-z0-9_-]{43}")
# Of what is no key at all nothing else is thought than of a key that is not good.
_NO_KEY = "ask_"


def add_routes(routes: APIRouter, pages: Pages, sign_ins: SignInService) -> None:
    """Add the page that asks for a key."""

    @routes.get("/console/sign-in")
    async def ask_for_key(_browser: ABrowser, request: Request) -> Response:
        if sign_ins.is_keyless:
            return RedirectResponse("/", SEE_OTHER)
        return pages.sign_in(request)

    @routes.post("/console/sign-in")
    async def sign_in(browser: ABrowser, request: Request) -> Response:
        shown = browser.form.get("key", "").strip()
        key = shown if _KEY.fullmatch(shown) else _NO_KEY
        try:
            let_in = await run_in_threadpool(sign_ins.sign_in, key.encode(), request_id_of(request))
        except UnauthenticatedError:
            refused = "This key is not good. Keys begin with ask_ and are shown when they are made."
            return pages.sign_in(request, status=401, refused=refused)
        except RateLimitedError as error:
            told = errors.of_error(error, request_id_of(request))
            refused = f"Too many wrong keys lately. Try again in {error.retry_after} s."
            page = pages.sign_in(request, status=told.status_code, refused=refused)
            page.headers["Retry-After"] = str(error.retry_after)
            return page
        response = RedirectResponse("/", SEE_OTHER)
        cookies.keep_session(request, response, let_in.token)
        return response

    @routes.post("/console/sign-out")
    async def sign_out(visitor: AVisitor, request: Request) -> Response:
        if visitor.token is not None:
            await run_in_threadpool(sign_ins.sign_out, visitor.token, visitor.caller)
        response = RedirectResponse("/console/sign-in", SEE_OTHER)
        cookies.forget_session(request, response)
        # Also what the browser itself has kept of the pages.
        response.headers["Clear-Site-Data"] = '"cache"'
        return response
