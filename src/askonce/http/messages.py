"""What a client sees of sessions and messages."""

from typing import Any

from pydantic import BaseModel, Field

from askonce.core.answers import FinishReason
from askonce.core.conversations import Message, Role, Session
from askonce.http.parameters import cursor_to
from askonce.http.shown import dollars, moment
from askonce.services.conversations import Opened

_OF_A_MODEL = (
    "provider",
    "model",
    "finish_reason",
    "cached",
    "tokens_in",
    "tokens_out",
    "tokens_used",
    "cost_usd",
)


class ContextOut(BaseModel):
    """How much of the conversation the model was shown."""

    messages_sent: int = Field(description="Shown word for word", examples=[12])
    messages_summarised: int = Field(description="Shown as a summary", examples=[0])


class MessageOut(BaseModel):
    """One thing that was said; what only a model's words have is null elsewhere."""

    id: int = Field(examples=[7])
    role: Role
    content: str = Field(examples=["Paris."])
    answered: bool | None = Field(description="Of a user's message: whether a reply follows it")
    confidence: float | None = Field(
        description="How sure the model is of its reply, 0 to 1", examples=[0.9]
    )
    provider: str | None = Field(examples=["claude"])
    model: str | None = Field(examples=["claude-haiku-5-5"])
    finish_reason: FinishReason | None
    cached: bool | None = Field(description="True: none of the tokens were spent this time")
    tokens_in: int | None = Field(examples=[120])
    tokens_out: int | None = Field(examples=[23])
    tokens_used: int | None = Field(examples=[143])
    cost_usd: str | None = Field(
        description="What producing it cost; null where the price is not known",
        examples=["0.000213"],
    )
    context: ContextOut | None
    created_at: str = Field(examples=["2026-11-21T19:07:13.123456Z"])

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """Return what a client sees of a message."""
        answer = message.answer
        taken: dict[str, Any] = dict.fromkeys(_OF_A_MODEL)
        if answer is not None:
            taken = {
                "provider": answer.provider,
                "model": answer.model,
                "finish_reason": answer.finish_reason,
                "cached": message.cached,
                "tokens_in": answer.tokens_in,
                "tokens_out": answer.tokens_out,
                "tokens_used": answer.tokens_in + answer.tokens_out,
                "cost_usd": dollars(answer.cost),
            }
        return cls(
            id=message.id,
            role=message.role,
            content=message.content,
            answered=message.is_answered if message.role is Role.USER else None,
            confidence=message.confidence,
            **taken,
            context=_context(message),
            created_at=moment(message.created_at),
        )


class SessionItemOut(BaseModel):
    """A conversation, without what was said."""

    id: int = Field(examples=[3])
    user_id: str = Field(examples=["alice"])
    title: str = Field(examples=["Capitals"])
    provider: str | None = Field(description="Who is asked, where a message does not say")
    model: str | None = Field(description="Which model, where a message does not say")
    instructions: str | None = Field(description="The system prompt")
    message_count: int = Field(description="Summaries are not counted", examples=[2])
    created_at: str = Field(examples=["2026-11-21T19:07:13.123456Z"])
    updated_at: str = Field(examples=["2026-11-21T19:07:13.123456Z"])

    @classmethod
    def of(cls, session: Session) -> "SessionItemOut":
        """Return what a client sees of a session in a list."""
        return cls(
            id=session.id,
            user_id=session.user_id,
            title=session.title,
            provider=session.provider,
            model=session.model,
            instructions=session.instructions,
            message_count=session.messages,
            created_at=moment(session.created_at),
            updated_at=moment(session.updated_at),
        )


class SessionOut(SessionItemOut):
    """A conversation with some of its messages."""

    messages: list[MessageOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for older messages")

    @classmethod
    def with_messages(cls, opened: Opened) -> "SessionOut":
        """Return what a client sees of a session."""
        return cls(
            **SessionItemOut.of(opened.session).model_dump(),
            messages=[MessageOut.of(message) for message in opened.messages],
            next_cursor=cursor_to(opened.before_id),
        )


class SessionsOut(BaseModel):
    """One page, the most recently updated first."""

    items: list[SessionItemOut]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page")


def _context(message: Message) -> ContextOut | None:
    if message.sent is None:
        return None
    return ContextOut(messages_sent=message.sent, messages_summarised=message.summarised or 0)
