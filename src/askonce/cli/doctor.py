"""`askonce doctor`: what is wrong, and how to mend it."""

import difflib
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import typer

from askonce.cli.endings import FAILED, told_in_one_line
from askonce.cli.findings import Finding, Findings, State, bad, doubtful, good
from askonce.cli.options import AsJson, Key, Url
from askonce.cli.printable import printable
from askonce.cli.showing import as_json, console
from askonce.core.errors import ConfigurationError

if TYPE_CHECKING:
    from askonce.config import Remote

_STYLES: Final = {State.GOOD: "green", State.DOUBTFUL: "yellow", State.BAD: "bold red"}


def doctor(*, as_facts: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Look whether everything is as it must be, and say what to do where it is not.

    It looks at settings, database, disk, clock, keys and providers, or at a running service where
    a URL is given. It spends nothing, and leaves nothing behind. Ends with 1 where something is
    bad.
    """
    from askonce.config import load_remote
    from askonce.telemetry import log

    log.configure("CRITICAL")
    with told_in_one_line():
        remote = load_remote(url, key)
    found: list[Finding] = []
    for finding in _here() if remote.url is None else _there(remote):
        found.append(finding)
        if not as_facts:
            _print(finding)
    is_good = not any(finding.state is State.BAD for finding in found)
    if as_facts:
        typer.echo(as_json({"good": is_good, "findings": [asdict(one) for one in found]}))
    else:
        _sum_up(found)
    if not is_good:
        raise typer.Exit(FAILED)


def _here() -> Findings:
    from askonce.cli import examining_database, examining_providers
    from askonce.config import load_settings, setting_names, unknown_settings

    for name in unknown_settings():
        close = difflib.get_close_matches(name, setting_names(), n=1)
        mend = f"is {close[0]} meant?" if close else "remove it; docs/configuration.md has them all"
        yield doubtful("settings", f"{name} is set, but there is no such setting", mend)
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield bad("settings", str(error), "correct it in the environment or in .env")
        return
    yield good("settings", "can all be followed")
    yield from examining_database.examine(settings)
    yield from examining_providers.examine(settings)


def _there(remote: "Remote") -> Findings:
    from askonce.client import Client, ClientError, Patience, ProblemError
    from askonce.client.errors import understood

    name = "service"
    key = None if remote.key is None else remote.key.get_secret_value()
    with Client(remote.url, key, patience=Patience(tries=1)) as client:
        try:
            health = client.health()
            with understood():
                told = [f"{name} {fact}" for name, fact in health.items() if name != "status"]
        except ProblemError as error:
            yield bad(name, f"is not well: {error}", "see its log; run `askonce doctor` there")
            return
        except ClientError as error:
            mend = "start it with `askonce serve`, or correct ASKONCE_URL"
            yield bad(name, f"{remote.url}: {error}", mend)
            return
        yield good(name, f"{remote.url} is well: {', '.join(told)}")
        try:
            next(client.sessions(), None)
        except ProblemError as error:
            yield bad("key", str(error), "set ASKONCE_KEY to what `askonce keys create` printed")
            return
        except ClientError as error:
            yield bad(name, f"{remote.url}: {error}", "correct ASKONCE_URL")
            return
        yield good("key", "is good" if key else "none is needed")


def _print(finding: Finding) -> None:
    from rich.text import Text

    line = Text(f"{finding.state.value:<9}", style=_STYLES[finding.state])
    line.append(f"{printable(finding.name):<11}", style="bold")
    line.append(printable(finding.says), style="default")
    if finding.mend:
        line.append(f"\n{'':20}-> {printable(finding.mend)}", style="default")
    console().print(line, soft_wrap=True)


def _sum_up(found: Iterable[Finding]) -> None:
    states = [finding.state for finding in found]
    wrong, odd = states.count(State.BAD), states.count(State.DOUBTFUL)
    if not wrong and not odd:
        typer.echo("\nAll is well.")
    else:
        typer.echo(f"\n{wrong} bad, {odd} doubtful.")
