"""Ask: a question, and its answer as it is made."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from askonce.core.caching import CacheRules
from askonce.core.clock import Clock
from askonce.core.landings import Asked, Way
from askonce.http import streams
from askonce.http.analyses import AnalyzeIn
from askonce.http.asking import CONSOLE_ASK, Asking
from askonce.http.console import cookies
from askonce.http.console.forms import key_of, number_of, query_of, read_as, user_of
from askonce.http.console.pages import Pages, span
from askonce.http.console.visitors import AVisitor, Visitor
from askonce.http.errors import request_id_of
from askonce.http.preferences import preferred
from askonce.http.shown import AnalysisOut
from askonce.services.analyses import Analyses
from askonce.services.preferences import Preferences

_EXAMPLES = (
    "Is this review happy or angry? 'Two weeks late, and then the wrong colour.'",
    "What is a cache? Answer in one sentence.",
    "Write a polite reply: we cannot deliver before Friday.",
)
_WAYS = {
    Way.HIT: ("hit", "from the cache"),
    Way.MISS: ("miss", "asked the model"),
    Way.COLLAPSED: ("joined", "joined a call in flight"),
    Way.BYPASS: ("anew", "asked the model anew"),
    Way.REPLAY: ("repeat", "sent twice, answered once"),
}


def add_routes(
    routes: APIRouter,
    pages: Pages,
    analyses: Analyses,
    preferences: Preferences,
    asking: Asking,
    *,
    providers: dict[str, str],
    clock: Clock,
) -> None:
    """Add the first page. `providers` have their default models."""

    def page(request: Request, visitor: Visitor, form: dict[str, Any], **facts: Any) -> Response:
        return pages.page(
            request,
            visitor,
            "ask.html",
            user=user_of(form, visitor.caller),
            form=form,
            examples=_EXAMPLES,
            providers=providers,
            address=_address(request),
            **facts,
        )

    @routes.get("/")
    def show(visitor: AVisitor, request: Request) -> Response:
        form = dict(query_of(request))
        example = form.pop("example", "")
        if example.isdecimal() and int(example[:3]) < len(_EXAMPLES):
            form["text"] = _EXAMPLES[int(example[:3])]
        return page(request, visitor, form, answer=None)

    @routes.post(CONSOLE_ASK)
    async def ask(visitor: AVisitor, request: Request) -> Response:
        form, caller = visitor.form, visitor.caller
        user_id = user_of(form, caller)
        body = read_as(
            AnalyzeIn,
            {
                "text": form.get("text"),
                "provider": form.get("provider"),
                "model": form.get("model"),
                "instructions": form.get("instructions"),
                "max_output_tokens": number_of(form, "max_output_tokens"),
            },
        )
        is_anew = "refresh" in form
        is_streamed = streams.is_wanted(request.headers.get("accept", ""))
        said = {**body.model_dump(), "user": user_id, "refresh": is_anew}
        boarded = await asking.boarded(
            analyses.request(
                caller,
                user_id,
                analyses.question(body.draft(), await preferred(preferences, caller, user_id)),
                rules=CacheRules(no_cache=is_anew),
                key=key_of(form, caller, CONSOLE_ASK, said),
                is_streamed=is_streamed,
            ),
            request,
        )
        answered = _answered(clock)
        if is_streamed and not streams.has_failed(boarded.asked):
            return streams.streamed(
                boarded.asked,
                boarded.tape,
                request_id=request_id_of(request),
                headers=await asking.headers_of_stream(boarded),
                said=lambda asked: asked.analysis.answer.text,
                shown=lambda asked: json.dumps(
                    {"html": pages.written("_answer.html", visitor, answer=answered(asked))}
                ),
            )
        asked = await asking.arrived(boarded)
        response = page(request, visitor, dict(form), answer=answered(asked))
        response.raw_headers += asking.headers(asked)
        return response


def _answered(clock: Clock) -> Callable[[Asked], dict[str, Any]]:
    """Return what tells of an answer what there is to see of it."""

    def answered(asked: Asked) -> dict[str, Any]:
        way, words = _WAYS[asked.way]
        now = clock.now()
        age = None if asked.stored_at is None else (now - asked.stored_at).total_seconds()
        left = None if asked.expires_at is None else (asked.expires_at - now).total_seconds()
        return {
            "of": AnalysisOut.of(asked.analysis),
            "way": way,
            "words": words,
            "is_free": asked.way in (Way.HIT, Way.COLLAPSED, Way.REPLAY),
            "is_kept": asked.is_kept,
            "age": None if age is None else span(max(0.0, age)),
            "left": None if left is None else span(max(0.0, left)),
        }

    return answered


def _address(request: Request) -> str:
    """Return where a terminal reaches us; a placeholder, where the browser's word is odd."""
    host = request.headers.get("host", "")
    is_plain = bool(host) and all(letter.isalnum() or letter in ".:[]-" for letter in host)
    scheme = "http" if cookies.is_plain(request) else "https"
    return f"{scheme}://{host if is_plain else 'localhost:8000'}"
