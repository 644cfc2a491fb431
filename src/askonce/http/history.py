"""The history: list, read, delete."""

from typing import Annotated

from fastapi import FastAPI, Query, Response
from pydantic import BaseModel, Field

from askonce.core.ports import HistoryFilter
from askonce.http.access import AnyCaller
from askonce.http.parameters import (
    UserId,
    before_id_of,
    cursor_to,
    id_of,
    moment_of,
    words_of,
)
from askonce.http.problems import problems
from askonce.http.shown import HistoryItemOut
from askonce.services.analyses import Analyses


class HistoryOut(BaseModel):
    """One page, newest first."""

    items: list[HistoryItemOut]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page. Where there is one there may be more, "
        "also when a page with filters is short or empty"
    )


class HistoryQuery(BaseModel):
    """Which analyses to list."""

    cursor: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=10, ge=1, le=100)
    provider: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._:/@+-]{1,64}$")
    model: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._:/@+-]{1,128}$")
    cached: bool | None = None
    since: str | None = Field(
        default=None, max_length=40, description="Not before (RFC 3339)", examples=["2026-11-21"]
    )
    until: str | None = Field(default=None, max_length=40, description="Before (RFC 3339)")
    q: str | None = Field(
        default=None, max_length=1000, description="Text or result has all these words"
    )

    def filter(self) -> HistoryFilter:
        """Return the query in the product's own terms."""
        return HistoryFilter(
            limit=self.limit,
            before_id=before_id_of(self.cursor),
            provider=self.provider,
            model=self.model,
            cached=self.cached,
            since=moment_of("since", self.since),
            until=moment_of("until", self.until),
            words=words_of(self.q),
        )


def add_routes(app: FastAPI, analyses: Analyses) -> None:
    """Add the routes of the history."""

    @app.get(
        "/history/{user_id}",
        tags=["history"],
        summary="A user's analyses, newest first",
        response_class=Response,
        responses={200: {"model": HistoryOut}, **problems(400, 422, 503)},
    )
    def newest(
        caller: AnyCaller, user_id: UserId, query: Annotated[HistoryQuery, Query()]
    ) -> Response:
        page = analyses.newest(caller, user_id, query.filter())
        items = [HistoryItemOut.of(analysis) for analysis in page.items]
        return _json(HistoryOut(items=items, next_cursor=cursor_to(page.before_id)))

    @app.get(
        "/history/{user_id}/{id}",
        tags=["history"],
        summary="One analysis",
        response_class=Response,
        responses={200: {"model": HistoryItemOut}, **problems(404, 422, 503)},
    )
    def one(caller: AnyCaller, user_id: UserId, id: str) -> Response:  # noqa: A002 - the contract's
        return _json(HistoryItemOut.of(analyses.one(caller, user_id, id_of(id))))

    @app.delete(
        "/history/{id}",
        tags=["history"],
        summary="Delete one analysis",
        description="With its last use, the answer and its cache entry are deleted too.",
        status_code=204,
        response_class=Response,
        responses=problems(404, 503),
    )
    def remove(caller: AnyCaller, id: str) -> Response:  # noqa: A002 - the contract's
        analyses.remove(caller, id_of(id))
        return Response(status_code=204)


def _json(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")
