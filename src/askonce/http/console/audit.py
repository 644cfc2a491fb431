"""Audit: the trail of a tenant, for its admins."""

from fastapi import APIRouter, Request, Response

from askonce.core.events import Action
from askonce.http.audit import EventOut, TrailQuery
from askonce.http.console.forms import query_of, read_as
from askonce.http.console.pages import Pages, is_htmx, query
from askonce.http.console.visitors import AnAdmin
from askonce.http.parameters import cursor_to
from askonce.services.bookkeeping import Books

PATH = "/console/audit"
_FILTERS = ("user_id", "action", "since", "until")


def add_routes(routes: APIRouter, pages: Pages, books: Books) -> None:
    """Add the page of the audit trail."""

    @routes.get(PATH)
    def show(visitor: AnAdmin, request: Request) -> Response:
        form = query_of(request)
        wanted = read_as(TrailQuery, {"limit": "25", **form})
        page = books.trail(visitor.caller, wanted.filter())
        filters = {name: form.get(name) for name in _FILTERS}
        cursor = cursor_to(page.before_id)
        return pages.page(
            request,
            visitor,
            "_audit.html" if is_htmx(request) else "audit.html",
            items=[EventOut.of(one) for one in page.items],
            filters=filters,
            actions=list(Action),
            is_more=is_htmx(request) and "cursor" in form,
            is_later="cursor" in form,
            newer=PATH + query(**filters),
            older=cursor and PATH + query(**filters, cursor=cursor),
        )
