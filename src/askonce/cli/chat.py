"""`askonce chat`: a conversation in the terminal."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.endings import FAILED, WRONG_SETTING, stop
from askonce.cli.options import (
    Instructions,
    Key,
    MaxOutputTokens,
    Model,
    Provider,
    Tenant,
    Url,
    User,
    Verbose,
)
from askonce.cli.reaching import reached
from askonce.cli.showing import note
from askonce.cli.talking import Talk, Wanted
from askonce.core.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from askonce.client import Client

_PROMPT = "> "
_HELP = """\
/summary        a summary of the conversation
/title TITLE    give it another title
/quit           leave; so does Ctrl-D
\\ at the end of a line: it goes on in the next
// at the beginning: a message that begins with /
Ctrl-C while a reply comes: read no further; it is finished and kept all the same"""


def chat(
    *,
    user: User,
    session: Annotated[int | None, typer.Option(help="Go on with this conversation.")] = None,
    last: Annotated[
        bool, typer.Option("--last", help="Go on with the user's newest conversation.")
    ] = False,
    title: Annotated[
        str | None, typer.Option(help="Of a new conversation; else its first words.")
    ] = None,
    provider: Provider = None,
    model: Model = None,
    instructions: Instructions = None,
    max_output_tokens: MaxOutputTokens = None,
    url: Url = None,
    key: Key = None,
    tenant: Tenant = DEFAULT_TENANT,
    verbose: Verbose = False,
) -> None:
    """Talk with a model, which is shown the whole conversation; it can be gone on with later.

    What is not typed but piped in is a message a line. Replies go to standard output, what they
    took to standard error.
    """
    if (session is not None or last) and (title is not None or instructions is not None):
        stop("--title, --instructions: a conversation has them from its beginning", WRONG_SETTING)
    if session is not None and last:
        stop("--session, --last: one of them", WRONG_SETTING)
    wanted = Wanted(
        user=user,
        title=title,
        provider=provider,
        model=model,
        instructions=instructions,
        max_output_tokens=max_output_tokens,
    )
    with reached(url, key, tenant=tenant, is_verbose=verbose) as client:
        talk = Talk(client, wanted)
        if last:
            session = _newest(client, user)
        if session is not None:
            talk.resume(session)
        if sys.stdin.isatty():
            note("/help says what else there is, Ctrl-D ends.")
        try:
            _converse(talk)
        finally:
            if talk.session_id is not None and sys.stdin.isatty():
                note(f"To go on: askonce chat --session {talk.session_id}")


def _newest(client: "Client", user: str) -> int:
    session = next(client.sessions(user), None)
    if session is None:
        stop(f"--last: {user} has no conversation yet", FAILED)
    return session.id


def _converse(talk: Talk) -> None:
    from askonce.client import ClientError

    for line in _messages():
        try:
            if not _done(talk, line):
                return
        except KeyboardInterrupt:
            if not sys.stdin.isatty():
                raise
            typer.echo()
            note("If the model was asked already, what it says is finished and kept all the same.")
        except ClientError as error:
            if not sys.stdin.isatty():
                raise
            note(talk.told(error))


def _done(talk: Talk, line: str) -> bool:
    """Do what a line says, and return whether to go on."""
    command, _, rest = line.partition(" ")
    match command:
        case "/quit" | "/exit" | "/bye":
            return False
        case "/help":
            note(_HELP)
        case "/summary":
            talk.summarise()
        case "/title":
            talk.rename(rest.strip())
        case _ if command.startswith("/") and not command.startswith("//"):
            note(f"There is no {command}: /help lists what there is.")
        case _:
            talk.say(line.removeprefix("/") if line.startswith("//") else line)
    return True


def _messages() -> Iterator[str]:
    """Yield what is typed or piped in, without lines that say nothing."""
    whole: list[str] = []
    for line in _typed() if sys.stdin.isatty() else _piped():
        whole.append(line.removesuffix("\\"))
        if line.endswith("\\"):
            continue
        message = "\n".join(whole).strip()
        whole.clear()
        if message:
            yield message
    message = "\n".join(whole).strip()
    if message:
        yield message


def _typed() -> Iterator[str]:
    with suppress(ImportError):
        # Being there is all that it takes for lines to be edited and called up again.
        import readline  # noqa: F401
    while True:
        try:
            yield input(_PROMPT)
        except EOFError:
            typer.echo()
            return


def _piped() -> Iterator[str]:
    try:
        for line in sys.stdin:
            yield line.rstrip("\n")
    except UnicodeDecodeError:
        stop("standard input: not a text in UTF-8", WRONG_SETTING)
