"""Runs a spec for `askonce eval`: one run for each model, stored as it goes."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from askonce import __version__
from askonce.cli.endings import WRONG_SETTING, stop
from askonce.cli.printable import printable
from askonce.cli.reaching import reached, told
from askonce.client import Client, ProblemError
from askonce.evaluation.reading import read_spec
from askonce.evaluation.records import Plan, Run, Target
from askonce.evaluation.results import Results, Stored, read_run
from askonce.evaluation.running import asked
from askonce.evaluation.spec import Spec
from askonce.evaluation.targets import target_of, targets_of

_NO_SUCH_PROVIDER = "unknown-provider"
_EMBEDDED = "local"
_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the options say about asking."""

    providers: Sequence[str]
    models: Sequence[str]
    judge: str | None
    repeats: int
    refresh: bool
    concurrency: int | None
    user: str

    def at_once(self, target: Target) -> int:
        """Return how many prompts may be asked at one time."""
        # The embedded model does one thing after the other: who waits for it may wait too long.
        return self.concurrency or (1 if target.provider == _EMBEDDED else _AT_ONCE)


def run_all(
    path: Path, wanted: Wanted, folder: Results, url: str | None, key: str | None
) -> list[Stored]:
    """Run the spec in a file for each model that is wanted, and return the runs.

    Raises:
        SpecError: the file cannot be used.
        TargetError: it is not clear which models are wanted.
        ResultsError: the runs cannot be stored.
    """
    spec = read_spec(path)
    targets = targets_of(wanted.providers, wanted.models)
    plan = Plan(
        spec=spec.name,
        digest=spec.digest,
        prompts=len(spec.prompts),
        target=Target(),
        judge=None if wanted.judge is None else target_of(wanted.judge),
        repeats=wanted.repeats,
        refresh=wanted.refresh,
        user=wanted.user,
    )
    if plan.judge is not None and not any(prompt.criteria for prompt in spec.prompts):
        stop(f"--judge: {path} has no rubric to judge by", WRONG_SETTING)
    with reached(url, key) as client:
        try:
            plans = [replace(plan, target=_resolved(client, target)) for target in targets]
            return [_run(client, folder, spec, one, wanted.at_once(one.target)) for one in plans]
        except ProblemError as problem:
            if problem.type != _NO_SUCH_PROVIDER:
                raise
            stop(f"--provider, --model or --judge: {told(problem)}", WRONG_SETTING)


def _resolved(client: Client, target: Target) -> Target:
    """Return whom the service asks where a command does not say."""
    health = client.health()
    provider = target.provider or health["provider"]
    if target.model is None and provider == health["provider"]:
        return replace(target, provider=provider, model=health["model"])
    return replace(target, provider=provider)


def _run(client: Client, folder: Results, spec: Spec, plan: Plan, at_once: int) -> Stored:
    screen = Console(stderr=True, highlight=False, markup=False)
    with (
        folder.opened(_begun(plan)) as file,
        Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress,
    ):
        settled = len(file.stored.settled)
        if file.stored.rows:
            typer.echo(f"askonce: going on with {printable(str(file.stored.path))}", err=True)
        task = progress.add_task(
            escape(printable(str(plan.target))),
            total=plan.prompts * plan.repeats,
            completed=settled,
        )
        for row in asked(client, spec, file.stored, concurrency=at_once):
            file.add(row)
            progress.advance(task)
        return read_run(file.stored.path)


def _begun(plan: Plan) -> Run:
    now = datetime.now(UTC)
    target = "".join(one if one.isalnum() or one in "-._" else "-" for one in str(plan.target))
    name = f"{now:%Y%m%dT%H%M%SZ}-{plan.spec}-{target[:64]}-{secrets.token_hex(3)}"
    return Run(name=name, plan=plan, askonce=__version__, started_at=now)
