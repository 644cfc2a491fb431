"""Usage: what was spent and what was saved, as plots and as tables."""

from datetime import timedelta

from fastapi import APIRouter, Request, Response

from askonce.core.clock import Clock
from askonce.core.usage import GroupBy
from askonce.http.console.forms import query_of, read_as, user_of
from askonce.http.console.pages import Pages
from askonce.http.console.visitors import AVisitor
from askonce.http.usage import UsageOut, UsageQuery
from askonce.services.bookkeeping import Books

PATH = "/console/usage"
_DAYS = 30


def add_routes(routes: APIRouter, pages: Pages, books: Books, clock: Clock) -> None:
    """Add the page of the books."""

    @routes.get(PATH)
    def show(visitor: AVisitor, request: Request) -> Response:
        form = query_of(request)
        user_id = user_of(form, visitor.caller)
        wanted = read_as(UsageQuery, {name: form.get(name) for name in ("since", "until")})
        since, until = wanted.days()
        since = since or clock.now().date() - timedelta(days=_DAYS - 1)
        shown = {
            by.value: UsageOut.of(
                user_id,
                by,
                list(books.usage(visitor.caller, user_id, since=since, until=until, group_by=by)),
            )
            for by in GroupBy
        }
        return pages.page(
            request,
            visitor,
            "usage.html",
            user=user_id,
            since=since,
            until=form.get("until"),
            usage=shown,
            total=shown[GroupBy.DAY.value].total,
        )
