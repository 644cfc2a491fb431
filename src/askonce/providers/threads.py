"""A conversation as vendors want it: users and assistants take turns, and a user begins."""

from typing import Final

from askonce.core.conversations import Role, Spoken
from askonce.core.questions import Question

# Where a thread that was brought in begins with an assistant.
_BEGINNING: Final = Spoken(Role.USER, "(The conversation begins.)")


def in_turns(question: Question) -> list[Spoken]:
    """Return what was said and what is asked, what one side said in a row as one message."""
    turns: list[Spoken] = []
    for said in (*(question.messages or ()), Spoken(Role.USER, question.text)):
        if turns and turns[-1].role is said.role:
            turns[-1] = Spoken(said.role, f"{turns[-1].content}\n\n{said.content}")
        else:
            turns.append(said)
    return turns if turns[0].role is Role.USER else [_BEGINNING, *turns]
