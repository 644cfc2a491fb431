"""History: search, filters, pages, deletion, export."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, StreamingResponse

from askonce.core.ports import HistoryFilter
from askonce.http.console.forms import query_of, read_as, user_of
from askonce.http.console.pages import SEE_OTHER, Pages, is_htmx, query
from askonce.http.console.visitors import AVisitor
from askonce.http.history import HistoryQuery
from askonce.http.parameters import cursor_to, id_of
from askonce.http.shown import HistoryItemOut
from askonce.http.users import JSON_LINES, written
from askonce.services.analyses import Analyses
from askonce.services.exports import Exports

PATH = "/console/history"
_FILTERS = ("q", "provider", "model", "cached", "since", "until")


def add_routes(
    routes: APIRouter,
    pages: Pages,
    analyses: Analyses,
    exports: Exports,
    *,
    providers: dict[str, str],
) -> None:
    """Add the pages of the history."""

    @routes.get(PATH)
    def show(visitor: AVisitor, request: Request) -> Response:
        form = query_of(request)
        user_id = user_of(form, visitor.caller)
        wanted: HistoryFilter = read_as(HistoryQuery, form).filter()
        page = analyses.newest(visitor.caller, user_id, wanted)
        filters = {name: form.get(name) for name in _FILTERS}
        cursor = cursor_to(page.before_id)
        is_more = is_htmx(request) and "cursor" in form
        return pages.page(
            request,
            visitor,
            "_history.html" if is_htmx(request) else "history.html",
            user=user_id,
            items=[HistoryItemOut.of(one) for one in page.items],
            filters=filters,
            providers=providers,
            is_more=is_more,
            is_later="cursor" in form,
            newer=PATH + query(user=user_id, **filters),
            older=cursor and PATH + query(user=user_id, **filters, cursor=cursor),
        )

    @routes.get(PATH + "/export")
    def export(visitor: AVisitor, request: Request) -> Response:
        user_id = user_of(query_of(request), visitor.caller)
        began, portions = exports.begin(visitor.caller, user_id)
        return StreamingResponse(
            written(user_id, began, portions),
            media_type=JSON_LINES,
            headers={"Content-Disposition": f'attachment; filename="{user_id}.ndjson"'},
        )

    @routes.post(PATH + "/{id}/delete")
    async def remove(visitor: AVisitor, id: str, request: Request) -> Response:  # noqa: A002 - as the API's
        await run_in_threadpool(analyses.remove, visitor.caller, id_of(id))
        if is_htmx(request):
            return Response(status_code=200, media_type="text/html")
        user_id = user_of(visitor.form, visitor.caller)
        return RedirectResponse(PATH + query(user=user_id), SEE_OTHER)
