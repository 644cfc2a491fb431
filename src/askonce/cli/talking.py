"""One conversation, and what it has taken so far."""

from dataclasses import dataclass, field
from decimal import Decimal
from textwrap import shorten
from typing import TYPE_CHECKING

from askonce.cli.reaching import told
from askonce.cli.showing import dollars, note, say, taken

if TYPE_CHECKING:
    from askonce.client import Client, ClientError, Message

_TITLE_CHARACTERS = 60
_SHOWN_MESSAGES = 4
_SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a conversation is to be; None where the service decides."""

    user: str
    title: str | None = field(default=None, repr=False)
    provider: str | None = None
    model: str | None = None
    instructions: str | None = field(default=None, repr=False)
    max_output_tokens: int | None = None


class Talk:
    """A conversation with a model, which begins with the first thing that is said."""

    def __init__(self, client: "Client", wanted: Wanted) -> None:
        self._client = client
        self._wanted = wanted
        self.session_id: int | None = None
        self._tokens = 0
        self._cost = Decimal(0)
        self._unpriced = 0

    def resume(self, session_id: int) -> None:
        """Go on with a conversation; shows where it was, and counts what it has taken."""
        session = self._client.session(session_id, limit=_SHOWN_MESSAGES)
        for message in self._client.messages(session_id):
            self._count(message)
        self.session_id = session.id
        note(f"{session.title}: {session.message_count} messages, {self._in_all()}")
        for message in reversed(session.messages):
            speaker = ">" if message.role == "user" else " "
            note(f"{speaker} {shorten(message.content, _SHOWN_CHARACTERS, placeholder=' …')}")

    def say(self, text: str) -> None:
        """Say something, and print the reply as it comes."""
        if self.session_id is None:
            self.session_id = self._begun(text)
        with self._client.stream_reply(
            self.session_id,
            text,
            provider=self._wanted.provider,
            model=self._wanted.model,
            max_output_tokens=self._wanted.max_output_tokens,
        ) as stream:
            say(stream)
            reply = stream.result.messages[-1]
        self._count(reply)
        remembered = "remembered, nothing spent: " if reply.cached else ""
        sure = "" if reply.confidence is None else f", {reply.confidence:.0%} sure"
        note(f"{remembered}{taken(reply)}{sure}; in all {self._in_all()}")

    def summarise(self) -> None:
        """Print a summary."""
        if self.session_id is None:
            note("Nothing has been said yet.")
            return
        summary = self._client.summarise(self.session_id)
        say([summary.content])
        self._count(summary)
        note(f"{taken(summary)}; in all {self._in_all()}")

    def rename(self, title: str) -> None:
        """Give the conversation another title."""
        if self.session_id is None or not title:
            note("/title TITLE, once something was said.")
            return
        note(self._client.rename_session(self.session_id, title).title)

    def told(self, error: "ClientError") -> str:
        """Return in one line what went wrong with a message."""
        from askonce.client import ProblemError

        return f"askonce: {told(error) if isinstance(error, ProblemError) else error}"

    def _begun(self, text: str) -> int:
        wanted = self._wanted
        title = wanted.title or shorten(text, _TITLE_CHARACTERS, placeholder=" …")
        session = self._client.begin_session(
            # A single long word leaves nothing but the placeholder.
            title if title.strip(" …") else text[:_TITLE_CHARACTERS],
            user_id=wanted.user,
            provider=wanted.provider,
            model=wanted.model,
            instructions=wanted.instructions,
        )
        return session.id

    def _count(self, message: "Message") -> None:
        if message.cached or message.tokens_used is None:
            return
        self._tokens += message.tokens_used
        if message.cost_usd is None:
            self._unpriced += 1
        else:
            self._cost += message.cost_usd

    def _in_all(self) -> str:
        unpriced = f" and {self._unpriced} replies of unknown price" if self._unpriced else ""
        return f"{self._tokens} tokens, {dollars(self._cost)}{unpriced}"
