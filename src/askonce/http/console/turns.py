"""A turn of a conversation: something is said, and the reply comes as it grows."""

import json

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from askonce.core.caching import CacheRules
from askonce.http import streams
from askonce.http.asking import Asking
from askonce.http.console.conversations import ONE, PATH
from askonce.http.console.forms import key_of, read_as
from askonce.http.console.pages import SEE_OTHER, Pages
from askonce.http.console.visitors import AVisitor
from askonce.http.errors import request_id_of
from askonce.http.messages import SessionOut
from askonce.http.parameters import id_of
from askonce.http.turns import MessageIn
from askonce.services.turns import Saying, Took, Turns


def add_routes(routes: APIRouter, pages: Pages, turns: Turns, asking: Asking) -> None:
    """Add the route that has a model reply."""

    @routes.post(ONE + "/messages")
    async def say(visitor: AVisitor, id: str, request: Request) -> Response:  # noqa: A002 - as the API's
        form, caller = visitor.form, visitor.caller
        body = read_as(MessageIn, {"role": "user", "content": form.get("content")})
        is_streamed = streams.is_wanted(request.headers.get("accept", ""))
        boarded = await asking.of(
            turns.say(
                Saying(
                    caller=caller,
                    session_id=id_of(id),
                    content=body.content,
                    wishes=body.wishes(),
                    rules=CacheRules(),
                    key=key_of(form, caller, f"{PATH}/{id}", body.model_dump()),
                    is_streamed=is_streamed,
                    is_asking=True,
                )
            )
        )
        if is_streamed and not streams.has_failed(boarded.took):

            def shown(took: Took) -> str:
                messages = SessionOut.with_messages(took.opened).messages
                return json.dumps(
                    {"html": pages.written("_messages.html", visitor, messages=messages)}
                )

            return streams.streamed(
                boarded.took,
                boarded.tape,
                request_id=request_id_of(request),
                headers=asking.forwarded(boarded.way),
                said=lambda took: took.asked.message.content,
                shown=shown,
            )
        await asking.of(boarded.took)
        return RedirectResponse(f"{PATH}/{id}#say", SEE_OTHER)
