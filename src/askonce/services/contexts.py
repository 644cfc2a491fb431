"""What a model is shown of a session: all of it, or the newest messages and a summary of the rest.

A summary is made once, stored in the session, and used again by all later turns.
"""

from collections.abc import Sequence

from askonce.core.access import Asker
from askonce.core.answers import FinishReason
from askonce.core.context import (
    SUMMARISE,
    Context,
    Window,
    choose,
    measured,
    shown,
    to_summarise,
)
from askonce.core.conversations import Message, Role, Session, Turn
from askonce.core.errors import InvalidAnswerError, NotFoundError
from askonce.core.idempotency import IdempotencyKey
from askonce.core.ports import Database, Transaction
from askonce.core.questions import Question
from askonce.core.requests import Request
from askonce.services.ask_once import AskOnce
from askonce.services.talks import Talk

_PAGE = 200
# No tokeniser makes fewer tokens: what is longer cannot fit.
_MOST_BYTES_PER_TOKEN = 8


class Contexts:
    """Chooses what a model is shown, and has summarised what it cannot be."""

    def __init__(self, *, database: Database, ask_once: AskOnce) -> None:
        self._database = database
        self._ask_once = ask_once

    def of(self, talk: Talk, last: int) -> Context:
        """Return what is shown of the messages up to `last`; may take summaries, and so calls.

        Raises:
            NotFoundError: the session has been deleted.
            AskonceError: as `AskOnce.ask`, where a summary cannot be had.
        """
        window = talk.window()
        while True:
            with self._database.reading() as tx:
                thread = _newest(tx, talk.session, last, window)
                summaries = usable(tx.messages.summaries(talk.session))
            if not thread:
                raise NotFoundError
            seen = measured(thread, provider=talk.chosen.provider, model=talk.chosen.model)
            choice = choose(thread, summaries, window=window, seen=seen)
            if isinstance(choice, Context):
                return choice
            self._summarise(talk, choice.summary, choice.last)

    def summary(
        self, talk: Talk, last: int, *, key: IdempotencyKey | None, is_streamed: bool
    ) -> Request:
        """Return the request for a summary of all messages up to `last`.

        What does not fit is summarised before, piece by piece.
        """
        window = talk.window()
        with self._database.reading() as tx:
            thread = _newest(tx, talk.session, last, window)
            before = [
                one for one in usable(tx.messages.summaries(talk.session)) if one.position < last
            ]
        if not thread:
            raise NotFoundError
        if thread[0].position == 1 and len(to_summarise(thread, None, window)) == len(thread):
            return self._request(talk, None, thread, key=key, is_streamed=is_streamed)
        summary = max(before, key=lambda one: (one.position, one.id), default=None)
        while True:
            some = self._next(talk, summary, last)
            if some[-1].position == last:
                return self._request(talk, summary, some, key=key, is_streamed=is_streamed)
            summary = self._asked(talk, summary, some)

    def _summarise(self, talk: Talk, summary: Message | None, last: int) -> None:
        """Have summarised what follows a summary, as much of it as fits into one call."""
        self._asked(talk, summary, self._next(talk, summary, last))

    def _next(self, talk: Talk, summary: Message | None, last: int) -> Sequence[Message]:
        first = 1 if summary is None else summary.position + 1
        with self._database.reading() as tx:
            page = tx.messages.thread(talk.session, first=first, last=last, limit=_PAGE)
        if not page:
            raise NotFoundError
        return to_summarise(page, summary, talk.window())

    def _asked(self, talk: Talk, summary: Message | None, some: Sequence[Message]) -> Message:
        request = self._request(talk, summary, some, key=None, is_streamed=False)
        made = self._ask_once.ask(request).result().message
        if not usable([made]):
            raise InvalidAnswerError(talk.chosen.provider, "refuses to summarise the conversation")
        return made

    def _request(
        self,
        talk: Talk,
        summary: Message | None,
        some: Sequence[Message],
        *,
        key: IdempotencyKey | None,
        is_streamed: bool,
    ) -> Request:
        chosen, session = talk.chosen, talk.session
        question = Question(
            text=SUMMARISE,
            provider=chosen.provider,
            model=chosen.model,
            max_output_tokens=talk.window().for_summary,
            fallbacks=chosen.fallbacks,
            messages=shown(summary, some),
        )
        turn = Turn(
            session_id=session.id,
            position=some[-1].position,
            role=Role.SUMMARY,
            sent=len(some),
            summarised=0 if summary is None else summary.position,
            is_anew=talk.rules.no_cache or talk.rules.no_store,
        )
        return Request.of(
            question,
            Asker.of(talk.caller, session.user_id, key=key, turn=turn),
            talk.scope,
            rules=talk.rules,
            is_streamed=is_streamed,
        )


def usable(summaries: Sequence[Message]) -> Sequence[Message]:
    """Return those that are summaries, and not a model's refusal to write one."""
    return [
        one
        for one in summaries
        if one.answer is not None and one.answer.finish_reason is not FinishReason.REFUSAL
    ]


def _newest(tx: Transaction, session: Session, last: int, window: Window) -> Sequence[Message]:
    """Return the messages up to `last`, as many as could fit at the very most, oldest first."""
    pages: list[Sequence[Message]] = []
    left = window.tokens * _MOST_BYTES_PER_TOKEN
    while last >= 1 and left >= 0:
        page = tx.messages.ending(session, last=last, limit=_PAGE)
        if not page:
            # Deleted meanwhile.
            return ()
        pages.append(page)
        left -= sum(len(message.content.encode()) for message in page)
        last = page[0].position - 1
    return [message for page in reversed(pages) for message in page]
