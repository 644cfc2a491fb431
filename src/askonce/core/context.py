"""Which part of a conversation a model is shown word for word, and what it gets a summary of.

All of it, while that fits the model's window. Else the oldest messages are replaced by a summary,
which is made once. Tokens are what the provider counted when it was last shown this conversation,
and a cautious estimate of what has changed since.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from askonce.core.conversations import Message, Role, Spoken

# No tokeniser makes more of ordinary text; where one does, the provider says that it is too long.
_BYTES_PER_TOKEN: Final = 3
_TOKENS_PER_MESSAGE: Final = 8
# What a reply's schema adds to a prompt.
_TOKENS_OF_SCHEMA: Final = 150
# Our figures are off by some percent, and a window that is missed by one token is missed.
_MARGIN: Final = 0.95
_LONGEST_SUMMARY: Final = 1024

SUMMARISE: Final = (
    "Summarise our conversation so far, so that it can be continued from the summary alone. Keep"
    " facts, names, figures, decisions and open questions. Write in the language of the"
    " conversation, and nothing but the summary."
)
_IN_PLACE: Final = "Summary of what was said before (the first {count} messages):\n\n{summary}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How much a model takes in one call, in tokens: its prompt and its answer together."""

    tokens: int
    max_output: int
    instructions: str | None = field(default=None, repr=False)

    @property
    def for_messages(self) -> int:
        """How many tokens of messages fit beside instructions, schema and answer."""
        return int(max(self.tokens - self._beside, self.tokens // 4) * _MARGIN)

    @property
    def for_summary(self) -> int:
        """How long a summary may get."""
        return max(32, min(_LONGEST_SUMMARY, self.for_messages // 4))

    def smaller_than(self, shown: int | None) -> int:
        """Return the window of a model that says that so many tokens of messages are too many."""
        room = self.tokens * 3 // 5
        return room if shown is None else min(room, shown * 3 // 5 + self._beside)

    @property
    def _beside(self) -> int:
        return self.max_output + _TOKENS_OF_SCHEMA + estimated(self.instructions or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the provider counted when the messages `first` to `last` were its prompt and reply."""

    first: int
    last: int
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a model is shown: messages word for word, and a summary of all before them, if any.

    `tokens` is how many these are, as far as that can be known.
    """

    verbatim: Sequence[Message]
    summary: Message | None = None
    tokens: int = field(default=0, compare=False)

    def before_last(self) -> tuple[Spoken, ...]:
        """Return all but the newest message, as a model is shown it."""
        return shown(self.summary, self.verbatim[:-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """Messages that must be summarised before the rest fits: after `summary`, up to `last`."""

    summary: Message | None
    last: int


def estimated(text: str) -> int:
    """Return how many tokens a text has, rather too many than too few."""
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def measured(thread: Sequence[Message], *, provider: str, model: str) -> Measured | None:
    """Return what this very model counted last in a thread; other models count in other ways."""
    for message in reversed(thread):
        answer = message.answer
        if (
            message.role is Role.ASSISTANT
            and answer is not None
            and message.sent is not None
            and (answer.provider, answer.model) == (provider, model)
            and answer.tokens_in > 0
        ):
            return Measured(
                first=message.position - message.sent,
                last=message.position,
                tokens=answer.tokens_in + answer.tokens_out,
            )
    return None


def choose(
    thread: Sequence[Message],
    summaries: Sequence[Message],
    *,
    window: Window,
    seen: Measured | None,
) -> Context | Excess:
    """Return what a model is to be shown of a thread, or what must be summarised before that.

    `thread` has the newest messages, oldest first, as many as could fit at the very most;
    `summaries` has all that there are. The more is shown word for word the better, so a short
    summary goes before a long one, and none before any; but what this model was `seen` to be
    shown as a summary stays one, as it may have said that the words are too many.
    """
    first = 1 if seen is None else seen.first
    whole = _tokens(thread, None, seen)
    if thread[0].position == first == 1 and whole <= window.for_messages:
        return Context(verbatim=thread, tokens=whole)
    usable = sorted(
        (summary for summary in summaries if summary.position < thread[-1].position),
        key=lambda summary: (summary.position, summary.id),
    )
    for summary in usable:
        rest = _after(summary, thread)
        begins = summary.position + 1
        tokens = _tokens(rest, summary, seen)
        if rest[0].position == begins >= first and tokens <= window.for_messages:
            return Context(verbatim=rest, summary=summary, tokens=tokens)
    last = usable[-1] if usable else None
    rest = _after(last, thread)
    kept = _kept(rest, window)
    if kept == len(rest):
        # What is left cannot be summarised: the model itself must say whether it is too long.
        return Context(verbatim=rest, summary=last, tokens=_tokens(rest, last, seen))
    return Excess(summary=last, last=rest[-kept].position - 1)


def to_summarise(
    messages: Sequence[Message], summary: Message | None, window: Window
) -> Sequence[Message]:
    """Return as many of the first messages as can be summarised in one call; at least one."""
    left = window.for_messages - estimated(SUMMARISE)
    left -= 0 if summary is None else _estimate(summary)
    count = 0
    while count < len(messages) and (left := left - _estimate(messages[count])) >= 0:
        count += 1
    return messages[: max(1, count)]


def shown(summary: Message | None, messages: Sequence[Message]) -> tuple[Spoken, ...]:
    """Return messages as a model is shown them, after a summary of what was before them."""
    said = [message.said() for message in messages]
    if summary is not None:
        stands_for = _IN_PLACE.format(count=summary.position, summary=summary.content)
        said.insert(0, Spoken(Role.USER, stands_for))
    return tuple(said)


def _after(summary: Message | None, thread: Sequence[Message]) -> Sequence[Message]:
    covered = 0 if summary is None else summary.position
    return [message for message in thread if message.position > covered]


def _kept(messages: Sequence[Message], window: Window) -> int:
    """Return how many of the newest messages stay, so that they fill half of the window at most.

    So there is room for some turns before it has to be done again. The newest message is what is
    asked, and always stays; a reply does not stay without what it replies to.
    """
    left = window.for_messages // 2 - _estimate(messages[-1])
    kept = 1
    while kept < len(messages) and (left := left - _estimate(messages[-kept - 1])) >= 0:
        kept += 1
    while 1 < kept < len(messages) and messages[-kept].role is Role.ASSISTANT:
        kept -= 1
    return kept


def _tokens(thread: Sequence[Message], summary: Message | None, seen: Measured | None) -> int:
    """Return how many tokens a prompt of these messages has, as far as that can be known."""
    if seen is not None and seen.first == thread[0].position:
        return seen.tokens + sum(_estimate(one) for one in thread if one.position > seen.last)
    estimate = sum(_estimate(one) for one in thread)
    return estimate + (0 if summary is None else _estimate(summary))


def _estimate(message: Message) -> int:
    return estimated(message.content) + _TOKENS_PER_MESSAGE
