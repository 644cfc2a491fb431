"""GET /usage/{user_id}: what was spent and what was saved."""

from datetime import date, datetime, time, timedelta
from typing import Annotated

from fastapi import FastAPI, Query, Response
from pydantic import BaseModel, Field

from askonce.core.usage import GroupBy, Totals, UsageGroup
from askonce.http.access import AnyCaller
from askonce.http.parameters import UserId, moment_of
from askonce.http.problems import problems
from askonce.http.shown import dollars
from askonce.services.bookkeeping import Books


class SpentOut(BaseModel):
    """What the calls to providers took."""

    calls: int = Field(description="Calls that were made to providers", examples=[3])
    failed: int = Field(description="Of these, calls that gave nothing", examples=[0])
    tokens_in: int = Field(examples=[360])
    tokens_out: int = Field(examples=[69])
    tokens_used: int = Field(examples=[429])
    cost_usd: str | None = Field(
        description="Exact; without the `unpriced` calls. null where no call has a price",
        examples=["0.000639"],
    )
    unpriced: int = Field(
        description="Calls whose cost is not known: the model has no known price, or the answer"
        " never arrived whole",
        examples=[0],
    )


class SavedOut(BaseModel):
    """What the answers had taken that were given again."""

    calls: int = Field(description="Requests that were answered without a call", examples=[12])
    hits: int = Field(description="From the cache", examples=[9])
    collapsed: int = Field(description="By a call that somebody else made", examples=[2])
    replays: int = Field(description="Repeats of an Idempotency-Key", examples=[1])
    tokens_in: int = Field(examples=[1440])
    tokens_out: int = Field(examples=[276])
    tokens_used: int = Field(examples=[1716])
    cost_usd: str | None = Field(
        description="Exact; without the `unpriced` ones. null where none has a price",
        examples=["0.002556"],
    )
    unpriced: int = Field(description="Of these, answers whose price is not known", examples=[0])


class TotalsOut(BaseModel):
    """Spent and saved."""

    spent: SpentOut
    saved: SavedOut

    @classmethod
    def of(cls, totals: Totals) -> "TotalsOut":
        """Return what a client sees of sums."""
        return cls(spent=_spent(totals), saved=_saved(totals))


class UsageItemOut(TotalsOut):
    """One day, provider or model."""

    name: str = Field(
        description="The day (UTC), the provider or the model, as `group_by` says",
        examples=["2026-11-21"],
    )


class UsageOut(BaseModel):
    """A user's usage, the first day or name first; `total` is the sum of all items."""

    user_id: str = Field(examples=["alice"])
    group_by: GroupBy
    items: list[UsageItemOut]
    total: TotalsOut

    @classmethod
    def of(cls, user_id: str, group_by: GroupBy, groups: list[UsageGroup]) -> "UsageOut":
        """Return what a client sees of a user's usage."""
        total = Totals()
        for group in groups:
            total.add(group.totals)
        items = [
            UsageItemOut(name=group.name, spent=_spent(group.totals), saved=_saved(group.totals))
            for group in groups
        ]
        return cls(user_id=user_id, group_by=group_by, items=items, total=TotalsOut.of(total))


class UsageQuery(BaseModel):
    """Which days to add up, and by what."""

    since: str | None = Field(
        default=None,
        max_length=40,
        description="From that day on (UTC; RFC 3339)",
        examples=["2026-11-01"],
    )
    until: str | None = Field(
        default=None, max_length=40, description="Days that begin before that (UTC; RFC 3339)"
    )
    group_by: GroupBy = Field(default=GroupBy.DAY)

    def days(self) -> tuple[date | None, date | None]:
        """Return the first day, and the one behind the last."""
        since, until = moment_of("since", self.since), moment_of("until", self.until)
        return None if since is None else since.date(), None if until is None else _end(until)


def add_routes(app: FastAPI, books: Books) -> None:
    """Add the route of usage."""

    @app.get(
        "/usage/{user_id}",
        tags=["usage"],
        summary="What a user spent and saved",
        description=(
            "Whole days in UTC. What is counted under a day was booked on it, in the transaction"
            " that wrote the answer. Sums are exact; what has no known price is counted, never"
            " guessed."
        ),
        response_class=Response,
        responses={200: {"model": UsageOut}, **problems(422, 503)},
    )
    def usage(
        caller: AnyCaller, user_id: UserId, query: Annotated[UsageQuery, Query()]
    ) -> Response:
        since, until = query.days()
        groups = books.usage(caller, user_id, since=since, until=until, group_by=query.group_by)
        out = UsageOut.of(user_id, query.group_by, list(groups))
        return Response(out.model_dump_json(), media_type="application/json")


def _end(until: datetime) -> date:
    is_midnight = until.time() == time()
    return until.date() if is_midnight else until.date() + timedelta(days=1)


def _spent(totals: Totals) -> SpentOut:
    is_priced = totals.calls > totals.failed + totals.unpriced
    return SpentOut(
        calls=totals.calls,
        failed=totals.failed,
        tokens_in=totals.tokens_in,
        tokens_out=totals.tokens_out,
        tokens_used=totals.tokens_in + totals.tokens_out,
        cost_usd=dollars(totals.cost) if is_priced or not totals.unpriced else None,
        unpriced=totals.unpriced,
    )


def _saved(totals: Totals) -> SavedOut:
    calls = totals.hits + totals.collapsed + totals.replays
    is_priced = calls > totals.saved_unpriced
    return SavedOut(
        calls=calls,
        hits=totals.hits,
        collapsed=totals.collapsed,
        replays=totals.replays,
        tokens_in=totals.saved_tokens_in,
        tokens_out=totals.saved_tokens_out,
        tokens_used=totals.saved_tokens_in + totals.saved_tokens_out,
        cost_usd=dollars(totals.saved_cost) if is_priced or not totals.saved_unpriced else None,
        unpriced=totals.saved_unpriced,
    )
