"""Asks a spec's prompts, each as often as is planned, and has the answers scored."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Final

from askonce.client import Analysis, Client, ProblemError
from askonce.evaluation import judging
from askonce.evaluation.checks import Said
from askonce.evaluation.records import Outcome, Row, Run, Target, Told
from askonce.evaluation.results import Stored
from askonce.evaluation.spec import Prompt, Spec

# What is the same for each prompt: going on would only fail as often.
_HOPELESS_STATUSES = frozenset({401, 402, 403})
_HOPELESS_PROBLEMS = frozenset({"unknown-provider"})
# The model's own doing.
_FINAL_PROBLEMS: Final = frozenset({"invalid-answer", "input-too-long"})


def asked(client: Client, spec: Spec, stored: Stored, *, concurrency: int) -> Iterator[Row]:
    """Yield a row for each prompt and repeat that a run has no settled one of, in order.

    Each request carries a key of its own run, prompt and repeat: when a run is broken off and gone
    on with, what was bought is given again.

    Raises:
        ProblemError: the service would answer none of them.
        UnreachableError: it does not answer.
    """
    run, settled = stored.run, stored.settled
    left = [
        (prompt, repeat)
        for repeat in range(1, run.plan.repeats + 1)
        for prompt in spec.prompts
        if (prompt.id, repeat) not in settled
    ]
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="askonce-eval")
    try:
        waiting = [pool.submit(partial(_row, client, run, *one)) for one in left]
        for row in waiting:
            yield row.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _row(client: Client, run: Run, prompt: Prompt, repeat: int) -> Row:
    empty = Row(prompt=prompt.id, digest=prompt.digest, repeat=repeat)
    unmet = tuple(Outcome(wanted=check.wanted, holds=False) for check in prompt.checks)
    try:
        analysis = _answer(client, run, prompt, repeat)
    except ProblemError as problem:
        _raise_if_hopeless(problem)
        is_final = problem.type in _FINAL_PROBLEMS
        return replace(empty, problem=str(problem), is_final=is_final, checks=unmet)
    told = _told(analysis)
    if not _is_of(analysis, run.plan.target):
        problem_text = f"{told.provider} answered in its place"
        return replace(empty, problem=problem_text, is_final=False, checks=unmet)
    said = Said(analysis.result, analysis.data)
    checks = tuple(Outcome(wanted=one.wanted, holds=one.holds(said)) for one in prompt.checks)
    row = replace(empty, answer=told, checks=checks)
    if run.plan.judge is None or not prompt.criteria:
        return row
    return _judged(client, run, run.plan.judge, prompt, row)


def _answer(client: Client, run: Run, prompt: Prompt, repeat: int) -> Analysis:
    plan = run.plan
    # Repeats must be answered anew, and leave the cache to others.
    anew = "no-store" if repeat > 1 else "no-cache" if plan.refresh else None
    return client.analyze(
        plan.user,
        prompt.text,
        provider=plan.target.provider,
        model=plan.target.model,
        instructions=prompt.instructions,
        output_schema=prompt.output_schema,
        max_output_tokens=prompt.max_output_tokens,
        cache_control=anew,
        idempotency_key=_key(run, prompt, repeat, "answer"),
    )


def _judged(client: Client, run: Run, judge: Target, prompt: Prompt, row: Row) -> Row:
    """Return a row with a judge's scores; without them, and with the reason, where it gave none."""
    if row.answer is None:
        return row
    try:
        analysis = client.analyze(
            run.plan.user,
            judging.question(prompt, row.answer.text),
            provider=judge.provider,
            model=judge.model,
            instructions=judging.INSTRUCTIONS,
            output_schema=judging.verdict_schema(prompt.criteria),
            max_output_tokens=judging.MAX_OUTPUT_TOKENS,
            idempotency_key=_key(run, prompt, row.repeat, "verdict"),
        )
    except ProblemError as problem:
        _raise_if_hopeless(problem)
        return replace(row, judge_problem=str(problem), is_final=problem.type in _FINAL_PROBLEMS)
    judged = _told(analysis)
    if not _is_of(analysis, judge):
        problem_text = f"{judged.provider} judged in its place"
        return replace(row, judged=judged, judge_problem=problem_text, is_final=False)
    try:
        scores = judging.verdict_of(analysis.data, prompt.criteria)
    except judging.VerdictError:
        return replace(row, judged=judged, judge_problem="what the judge said is no verdict")
    return replace(row, judged=judged, scores=scores)


def _raise_if_hopeless(problem: ProblemError) -> None:
    if problem.status in _HOPELESS_STATUSES or problem.type in _HOPELESS_PROBLEMS:
        raise problem


def _is_of(analysis: Analysis, target: Target) -> bool:
    """Return whether an answer is the target's own: a fallback may have stepped in."""
    return target.provider in (None, analysis.provider)


def _key(run: Run, prompt: Prompt, repeat: int, what: str) -> str:
    return hashlib.sha256(f"{run.name}\n{prompt.id}\n{repeat}\n{what}".encode()).hexdigest()


def _told(analysis: Analysis) -> Told:
    return Told(
        text=analysis.result,
        provider=analysis.provider,
        model=analysis.model,
        finish_reason=analysis.finish_reason,
        cached=analysis.cached,
        tokens_in=analysis.tokens_in,
        tokens_out=analysis.tokens_out,
        cost_usd=analysis.cost_usd,
    )
