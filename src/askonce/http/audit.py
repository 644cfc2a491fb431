"""GET /audit: the audit trail of a tenant, for its admins."""

from typing import Annotated

from fastapi import FastAPI, Query, Response
from pydantic import BaseModel, Field

from askonce.core.books import Booked, EventFilter
from askonce.core.events import Action
from askonce.http.access import AdminCaller
from askonce.http.parameters import USER_ID, before_id_of, cursor_to, moment_of
from askonce.http.problems import problems
from askonce.http.shown import dollars, moment
from askonce.services.bookkeeping import Books


class EventOut(BaseModel):
    """One thing that touched data or money. It never holds what was said."""

    id: int = Field(examples=[112])
    at: str = Field(examples=["2026-11-21T19:07:13.123456Z"])
    action: Action
    outcome: str = Field(
        description="`done`, the way an answer came, or how a call ended", examples=["hit"]
    )
    user_id: str | None = Field(description="Whose data it was", examples=["alice"])
    key_id: int | None = Field(description="The key it was done with", examples=[3])
    request_id: str | None = Field(examples=["4f1c2d7e9ab84c5d"])
    provider: str | None = Field(examples=["claude"])
    model: str | None = Field(examples=["claude-haiku-5-5"])
    tokens_in: int | None = Field(description="Of a call: spent; of an answer: saved")
    tokens_out: int | None
    cost_usd: str | None = Field(description="As the tokens; null where it is not known, or none")
    digest: str | None = Field(
        description="HMAC-SHA-256 of what was asked and answered; its salt goes with the answer"
    )
    about: dict[str, int | str] = Field(
        description="Ids and counts of the rows", examples=[{"analysis": 41, "answer": 7}]
    )

    @classmethod
    def of(cls, booked: Booked) -> "EventOut":
        """Return what a client sees of an event."""
        event = booked.event
        return cls(
            id=booked.id,
            at=moment(event.at),
            action=event.action,
            outcome=event.outcome,
            user_id=event.user_id,
            key_id=event.key_id,
            request_id=event.request_id or None,
            provider=event.provider,
            model=event.model,
            tokens_in=event.tokens_in,
            tokens_out=event.tokens_out,
            cost_usd=dollars(event.cost),
            digest=event.digest,
            about=dict(event.about),
        )


class TrailOut(BaseModel):
    """One page, newest first."""

    items: list[EventOut]
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page. Where there is one there may be more, "
        "also when a page with filters is short or empty"
    )


class TrailQuery(BaseModel):
    """Which events to list."""

    cursor: str | None = Field(default=None, max_length=100)
    limit: int = Field(default=10, ge=1, le=100)
    user_id: str | None = Field(default=None, pattern=USER_ID)
    action: Action | None = None
    since: str | None = Field(
        default=None, max_length=40, description="Not before (RFC 3339)", examples=["2026-11-21"]
    )
    until: str | None = Field(default=None, max_length=40, description="Before (RFC 3339)")

    def filter(self) -> EventFilter:
        """Return the query in the product's own terms."""
        return EventFilter(
            user_id=self.user_id,
            action=self.action,
            since=moment_of("since", self.since),
            until=moment_of("until", self.until),
            before_id=before_id_of(self.cursor),
            limit=self.limit,
        )


def add_routes(app: FastAPI, books: Books) -> None:
    """Add the route of the audit trail."""

    @app.get(
        "/audit",
        tags=["audit"],
        summary="What touched data or money, newest first",
        description=(
            "Needs an admin key. To be shown the trail is an event too. `askonce audit verify`"
            " proves that nothing in it was changed, removed or put in."
        ),
        response_class=Response,
        responses={200: {"model": TrailOut}, **problems(400, 422, 503)},
    )
    def trail(caller: AdminCaller, query: Annotated[TrailQuery, Query()]) -> Response:
        page = books.trail(caller, query.filter())
        out = TrailOut(
            items=[EventOut.of(one) for one in page.items],
            next_cursor=cursor_to(page.before_id),
        )
        return Response(out.model_dump_json(), media_type="application/json")
