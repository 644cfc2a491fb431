"""Who visits the console: a browser that is signed in, or, without any key, one on this machine.

Every route's first dependency is one of these. None of them looks at the headers that keys of the
API come in, and no route of the API looks at cookies.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool

from askonce.core.access import Caller, Role
from askonce.core.errors import ForbiddenError, ForeignFormError, UnauthenticatedError
from askonce.http.authentication import Authentication
from askonce.http.console import cookies
from askonce.http.console.forms import Form, form_of, query_of
from askonce.http.counting import Counting
from askonce.http.errors import request_id_of
from askonce.services.sign_ins import SignInService
from askonce.telemetry import requests

_HARMLESS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """A browser, whoever sits before it. `new_visit` is to be remembered by it from now on."""

    form_token: str = field(repr=False)
    form: Form = field(repr=False)
    new_visit: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor(Browser):
    """A browser that was let in. `token` is None where nobody needs to sign in."""

    caller: Caller
    token: str | None = field(default=None, repr=False)

    @property
    def is_admin(self) -> bool:
        return self.caller.role is Role.ADMIN


class Visitors:
    """Knows browsers by their cookies."""

    def __init__(self, sign_ins: SignInService, new_token: Callable[[], str]) -> None:
        self.sign_ins = sign_ins
        self._new_token = new_token

    async def stranger(self, request: Request) -> Browser:
        """Return a browser that need not be signed in.

        Raises:
            ForeignFormError: it sends what no page of ours made it send.
            MalformedRequestError: form or address cannot be read.
        """
        visit = cookies.visit_of(request)
        return Browser(**await self._checked(request, visit))

    def anybody(self, request: Request) -> Browser:
        """Return a browser, as far as it can be known, to show it a page that asks nothing."""
        return Browser(**self._shown(cookies.visit_of(request), {}))

    async def visitor(self, request: Request, *, is_used: bool) -> Visitor:
        """Return a browser that is let in; raises also as `SignInService.caller`."""
        if self.sign_ins.is_keyless:
            caller = _without_key(request)
            return Visitor(caller=caller, **await self._checked(request, cookies.visit_of(request)))
        token = cookies.session_of(request)
        if token is None:
            raise UnauthenticatedError
        caller = await run_in_threadpool(
            self.sign_ins.caller, token, request_id_of(request), is_used=is_used
        )
        return Visitor(caller=caller, token=token, **await self._checked(request, token))

    async def _checked(self, request: Request, token: str | None) -> dict[str, Any]:
        """Return what a browser says, once it is sure that the browser's owner says it."""
        if request.method in _HARMLESS:
            return self._shown(token, query_of(request))
        _check_sender(request)
        form = await form_of(request)
        _check_token(request, form, token)
        return self._shown(token, form)

    def _shown(self, token: str | None, form: Form) -> dict[str, Any]:
        new_visit = self._new_token() if token is None else None
        return {
            "form": form,
            "form_token": cookies.form_token(token or new_visit or ""),
            "new_visit": new_visit,
        }


def _without_key(request: Request) -> Caller:
    """Return who needs no key, by the rule of the API: this machine under its own names."""
    authentication: Authentication = request.app.state.authentication
    hosts = [header for header in request.scope["headers"] if header[0] == b"host"]
    return authentication.caller(hosts, request_id_of(request))


def _check_sender(request: Request) -> None:
    """See that a page of this very origin sends this: browsers say so, and pages cannot lie."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin", "")
    host = request.headers.get("host", "")
    if site != "same-origin" or origin not in (f"http://{host}", f"https://{host}"):
        raise ForeignFormError


def _check_token(request: Request, form: Form, token: str | None) -> None:
    sent = request.headers.get("x-csrf-token") or form.get("csrf", "")
    expected = "" if token is None else cookies.form_token(token)
    if not expected or not hmac.compare_digest(sent.encode(), expected.encode()):
        raise ForeignFormError


async def stranger(request: Request) -> Browser:
    """Let anybody see the page; async, like all dependencies here."""
    visitors: Visitors = request.app.state.visitors
    return await visitors.stranger(request)


async def visitor(request: Request) -> Visitor:
    """Let in who is signed in."""
    seen = await _let_in(request, is_used=True)
    counting: Counting | None = request.app.state.counting
    if counting is not None:
        await counting.count(request, seen.caller)
    return seen


async def watcher(request: Request) -> Visitor:
    """Let in who is signed in, without counting: for what a page asks for by itself."""
    return await _let_in(request, is_used=False)


async def admin(request: Request) -> Visitor:
    """Let in who is signed in as an admin."""
    seen = await visitor(request)
    if not seen.is_admin:
        raise ForbiddenError
    return seen


async def _let_in(request: Request, *, is_used: bool) -> Visitor:
    visitors: Visitors = request.app.state.visitors
    seen = await visitors.visitor(request, is_used=is_used)
    requests.tell_of_caller(seen.caller, None)
    return seen


ABrowser = Annotated[Browser, Depends(stranger)]
AVisitor = Annotated[Visitor, Depends(visitor)]
AWatcher = Annotated[Visitor, Depends(watcher)]
AnAdmin = Annotated[Visitor, Depends(admin)]

DEPENDENCIES = (stranger, visitor, watcher, admin)
