"""`askonce eval`: how well models answer a spec's prompts, and whether that changed."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from askonce.cli.endings import FAILED, WRONG_SETTING, stop
from askonce.cli.printable import printable

if TYPE_CHECKING:
    from askonce.evaluation.comparing import Comparison
    from askonce.evaluation.results import Results, Stored
    from askonce.evaluation.summaries import Summary

_LAST = "last"


def evaluate(
    spec: Annotated[
        Path, typer.Argument(metavar="SPEC|RUN", help="A spec (.toml), or a stored run (.jsonl).")
    ],
    *,
    provider: Annotated[
        list[str] | None, typer.Option(help="Whom to ask. May be given several times.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PROVIDER:]MODEL",
            help="Which model. Given several times, the others are compared with the first.",
        ),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="PROVIDER:MODEL", help="Who scores by the rubric.")
    ] = None,
    repeat: Annotated[
        int, typer.Option(min=1, max=100, help="Ask so often, all but the first past the cache.")
    ] = 1,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask anew, not the cache.")] = False,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Compare with this stored run; `last`: the one before of the same model.",
        ),
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="End with 1 if fewer prompts pass."),
    ] = None,
    results: Annotated[Path, typer.Option(help="The folder of stored runs.")] = Path(
        "eval-results"
    ),
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=64,
            help="How many prompts are asked at one time.",
            show_default="4; of the embedded model 1",
        ),
    ] = None,
    user: Annotated[str, typer.Option(help="In whose history.")] = "evaluation",
    unmet: Annotated[bool, typer.Option("--unmet", help="List what was not met, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    url: Annotated[
        str | None,
        typer.Option(
            help="A running service. Without one, and without ASKONCE_URL, the database itself."
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="The service's key; rather in ASKONCE_KEY.")
    ] = None,
) -> None:
    """Score a model's answers to a spec's prompts; compare models, or with an earlier run.

    What was asked before is not paid for again. Broken off, the same command goes on where it was.
    """
    from askonce.cli.eval_asking import Wanted, run_all
    from askonce.cli.eval_facts import facts_of
    from askonce.cli.eval_tables import show
    from askonce.evaluation.results import Results
    from askonce.evaluation.summaries import summarised

    folder = Results(results)
    wanted = Wanted(
        providers=provider or [],
        models=model or [],
        judge=judge,
        repeats=repeat,
        refresh=refresh,
        concurrency=concurrency,
        user=user,
    )
    with _told_in_lines(spec):
        baseline = None if against in (None, _LAST) else _stored(folder, against)
        is_stored = spec.suffix == ".jsonl"
        runs = (
            [_stored(folder, str(spec))] if is_stored else run_all(spec, wanted, folder, url, key)
        )
    summaries = [summarised(run) for run in runs]
    earlier = [folder.last(run.run) for run in runs] if against == _LAST else [baseline] * len(runs)
    comparisons = _compared(summaries, earlier)
    if as_json:
        typer.echo(json.dumps(facts_of(runs, summaries, comparisons), indent=2))
    else:
        show(runs, summaries, comparisons, has_unmet=unmet)
    _end(summaries, fail_under)


def _compared(
    summaries: "Sequence[Summary]", earlier: "Sequence[Stored | None]"
) -> "list[Comparison]":
    """Compare each run with an earlier one; where there is none at all, with the first."""
    from askonce.evaluation.comparing import compared
    from askonce.evaluation.summaries import summarised

    if not any(earlier):
        return [compared(summaries[0], later) for later in summaries[1:]]
    return [
        compared(summarised(before), after)
        for before, after in zip(earlier, summaries, strict=True)
        if before is not None
    ]


def _stored(folder: "Results", name: str) -> "Stored":
    """Return a run by its file, or by its name in the folder."""
    from askonce.evaluation.results import SUFFIX, read_run

    return read_run(Path(name) if name.endswith(SUFFIX) else folder.path_of(name))


@contextmanager
def _told_in_lines(spec: Path) -> Iterator[None]:
    """Say what is wrong with a spec, a run or an option; each thing on a line of its own."""
    from askonce.evaluation.faults import SpecError
    from askonce.evaluation.results import ResultsError
    from askonce.evaluation.targets import TargetError

    try:
        yield
    except SpecError as error:
        for line in str(error).splitlines():
            typer.echo(f"askonce: {printable(str(spec))}: {line}", err=True)
        raise typer.Exit(WRONG_SETTING) from None
    except (ResultsError, TargetError) as error:
        stop(str(error), WRONG_SETTING)


def _end(summaries: "Sequence[Summary]", fail_under: float | None) -> None:
    unanswered = sum(summary.unanswered for summary in summaries)
    below = [one for one in summaries if fail_under is not None and one.percent < fail_under]
    sys.stdout.flush()
    if unanswered:
        typer.echo(
            f"askonce: questions not answered: {unanswered}; running the spec again asks them",
            err=True,
        )
    for summary in below:
        typer.echo(
            f"askonce: {round(summary.percent, 1):g} % passed, fewer than {fail_under:g} %",
            err=True,
        )
    if unanswered or below:
        raise typer.Exit(FAILED)
