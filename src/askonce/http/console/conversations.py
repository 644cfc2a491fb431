"""Conversations: begin, list, read, rename, delete."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from askonce.core.errors import FieldError, InvalidFieldsError
from askonce.http.console.forms import key_of, query_of, read_as, user_of
from askonce.http.console.pages import SEE_OTHER, Pages, is_htmx, query
from askonce.http.console.visitors import AVisitor
from askonce.http.messages import SessionItemOut, SessionOut
from askonce.http.parameters import before_id_of, cursor_to_place, id_of
from askonce.http.sessions import SessionChangesIn, SessionIn, SessionsQuery
from askonce.services.conversations import Conversations

PATH = "/console/conversations"
ONE = PATH + "/{id}"
_MESSAGES = 30
_NEW = ("title", "provider", "model", "instructions")


def add_routes(
    routes: APIRouter, pages: Pages, conversations: Conversations, *, providers: dict[str, str]
) -> None:
    """Add the pages that ask no model."""

    @routes.get(PATH)
    def newest(visitor: AVisitor, request: Request) -> Response:
        form = query_of(request)
        user_id = user_of(form, visitor.caller)
        wanted = read_as(SessionsQuery, {"user_id": user_id, "cursor": form.get("cursor")})
        page = conversations.newest(visitor.caller, wanted.filter())
        last = None if page.is_last else page.items[-1]
        cursor = None if last is None else cursor_to_place(last.updated_at, last.id)
        return pages.page(
            request,
            visitor,
            "_conversations.html" if is_htmx(request) else "conversations.html",
            user=user_id,
            items=[SessionItemOut.of(one) for one in page.items],
            providers=providers,
            is_later="cursor" in form,
            newer=PATH + query(user=user_id),
            older=cursor and PATH + query(user=user_id, cursor=cursor),
        )

    @routes.post(PATH)
    async def begin(visitor: AVisitor) -> Response:
        form, caller = visitor.form, visitor.caller
        said: dict[str, Any] = {name: form.get(name, "").strip() for name in _NEW}
        body = read_as(SessionIn, {**said, "user_id": user_of(form, caller)})
        key = key_of(form, caller, PATH, body.model_dump())
        begun = await run_in_threadpool(
            conversations.begin, caller, body.new(caller), None, key=key
        )
        return RedirectResponse(f"{PATH}/{begun.opened.session.id}", SEE_OTHER)

    @routes.get(ONE)
    def one(visitor: AVisitor, id: str, request: Request) -> Response:  # noqa: A002 - as the API's
        form = query_of(request)
        opened = conversations.one(
            visitor.caller,
            id_of(id),
            limit=_MESSAGES,
            before_id=before_id_of(form.get("cursor")),
        )
        shown = SessionOut.with_messages(opened)
        newest = None if "cursor" in form else next(iter(shown.messages), None)
        return pages.page(
            request,
            visitor,
            "_thread.html" if is_htmx(request) else "conversation.html",
            user=shown.user_id,
            session=shown,
            messages=list(reversed(shown.messages)),
            waiting=newest if newest and newest.answered is False else None,
            is_later="cursor" in form,
            older=shown.next_cursor and f"{PATH}/{id}" + query(cursor=shown.next_cursor),
        )

    @routes.post(ONE + "/rename")
    async def rename(visitor: AVisitor, id: str) -> Response:  # noqa: A002 - as the API's
        title = visitor.form.get("title", "").strip()
        if not title:
            raise InvalidFieldsError(FieldError("title", "a conversation has a title"))
        body = read_as(SessionChangesIn, {"title": title})
        changes = body.model_dump(exclude_unset=True)
        await run_in_threadpool(conversations.change, visitor.caller, id_of(id), changes)
        return RedirectResponse(f"{PATH}/{id}", SEE_OTHER)

    @routes.post(ONE + "/delete")
    async def remove(visitor: AVisitor, id: str) -> Response:  # noqa: A002 - as the API's
        await run_in_threadpool(conversations.remove, visitor.caller, id_of(id))
        user_id = visitor.form.get("user")
        return RedirectResponse(PATH + query(user=user_id), SEE_OTHER)
