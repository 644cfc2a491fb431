"""Conversations: a session, what was said in it, and by whom."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from askonce.core.answers import Answer

LONGEST_TITLE = 200
ANYBODY = "anonymous"


class Role(StrEnum):
    """Who said something; a summary stands for what was said before it."""

    USER = "user"
    ASSISTANT = "assistant"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One thing that a model is told was said before, by the user or by the assistant."""

    role: Role
    content: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A conversation that is to begin; what is None is filled in at each turn."""

    user_id: str
    title: str = field(repr=False)
    provider: str | None = None
    model: str | None = None
    instructions: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation, without what was said.

    `messages` is how many there are, summaries not counted, and so the position of the newest;
    `replied` is the position of the assistant's newest one: what users said later is unanswered.
    """

    id: int
    tenant: str
    user_id: str
    title: str = field(repr=False)
    provider: str | None
    model: str | None
    instructions: str | None = field(repr=False)
    messages: int
    replied: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One thing that was said in a session.

    `position` counts from 1; of a summary it is the last position that the summary stands for.
    `answer` is what a model gave, None where a person wrote the message or a client brought it in.
    `sent` and `summarised` say of how many messages the model was shown every word, and how many
    it was shown a summary of; together they are all that stood before the answer.
    """

    id: int
    session_id: int
    role: Role
    position: int
    content: str = field(repr=False)
    confidence: float | None = None
    answer: Answer | None = None
    cached: bool = False
    sent: int | None = None
    summarised: int | None = None
    is_answered: bool = True
    created_at: datetime

    def said(self) -> Spoken:
        """Return the message as a model is shown it."""
        return Spoken(self.role, self.content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """The place of a model's words in a session.

    A reply belongs behind the message at `position`, and only while that is the newest one; a
    summary stands for all messages up to `position`, and with `is_anew` beside one that there is.
    """

    session_id: int
    position: int
    role: Role
    sent: int
    summarised: int
    is_anew: bool = False
