"""What several commands are told in the same words."""

import os
import re
from typing import Annotated

import typer

from askonce.cli.endings import WRONG_SETTING, stop

_USER = re.compile(r"[A-Za-z0-9._@:+-]{1,128}")
_WHERE = "Where"
_WHAT = "What is asked"

Url = Annotated[
    str | None,
    typer.Option(
        help="A running service. Without one, and without ASKONCE_URL, the database itself.",
        rich_help_panel=_WHERE,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        help="The service's key; rather in ASKONCE_KEY, as others here can see what a command is"
        " given.",
        rich_help_panel=_WHERE,
    ),
]
Tenant = Annotated[
    str, typer.Option(help="Of the database; a key has its own.", rich_help_panel=_WHERE)
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose",
        help="On the database: show the log of what is done there.",
        rich_help_panel=_WHERE,
    ),
]
Provider = Annotated[
    str | None, typer.Option(help="claude, openai or local.", rich_help_panel=_WHAT)
]
Model = Annotated[str | None, typer.Option(help="One of its models.", rich_help_panel=_WHAT)]
Instructions = Annotated[
    str | None, typer.Option(help="How to answer: the system prompt.", rich_help_panel=_WHAT)
]
MaxOutputTokens = Annotated[
    int | None, typer.Option(min=1, help="How long an answer may be.", rich_help_panel=_WHAT)
]
Refresh = Annotated[
    bool,
    typer.Option("--refresh", help="Ask anew, and keep the new answer.", rich_help_panel=_WHAT),
]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def this_user() -> str:
    """Return the id of whoever works here: their name where it can be one, else `me`."""
    name = os.environ.get("USER", "")
    return name if _USER.fullmatch(name) else "me"


User = Annotated[
    str,
    typer.Option(
        "--user",
        default_factory=this_user,
        show_default="your name here",
        help="In whose history.",
    ),
]


def check_user(name: str, user_id: str) -> None:
    """End the command where a user's id is none; `name` says where it was given."""
    if _USER.fullmatch(user_id) is None:
        stop(f"{name}: 1 to 128 characters of A-Z a-z 0-9 . _ @ : + -", WRONG_SETTING)
