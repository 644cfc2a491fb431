"""Compares two runs prompt by prompt, and says whether the difference may be chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from askonce.evaluation.statistics import (
    Finding,
    bootstrap_interval,
    sign_flip_test,
    sign_test,
)
from askonce.evaluation.summaries import PromptResult, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How a score moved, on average over the prompts that both runs have."""

    name: str
    before: float
    after: float
    interval: tuple[float, float]
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run beside an earlier one. `left_out` prompts are not the same in both, or lack answers."""

    before: Summary
    after: Summary
    pairs: int
    better: Sequence[str]
    worse: Sequence[str]
    passed: Finding
    shifts: Sequence[Shift]
    left_out: Sequence[str]
    is_same_judge: bool


def compared(before: Summary, after: Summary) -> Comparison:
    """Return what changed between two runs. The unit is the prompt, however often it was asked."""
    earlier = {one.prompt: one for one in before.results if one.asked}
    later = {one.prompt: one for one in after.results if one.asked}
    pairs = [
        (earlier[name], result)
        for name, result in later.items()
        if name in earlier and earlier[name].digest == result.digest
    ]
    named = dict.fromkeys(one.prompt for one in (*before.results, *after.results))
    paired = {result.prompt for _, result in pairs}
    better = [new.prompt for old, new in pairs if new.passed and not old.passed]
    worse = [new.prompt for old, new in pairs if old.passed and not new.passed]
    is_same_judge = before.run.plan.judge == after.run.plan.judge
    shifts = [_shift("checks", [(old.share, new.share) for old, new in pairs])] if pairs else []
    if is_same_judge:
        shifts += _scores(pairs)
    return Comparison(
        before=before,
        after=after,
        pairs=len(pairs),
        better=better,
        worse=worse,
        passed=Finding(
            pairs=len(pairs),
            differing=len(better) + len(worse),
            p_value=sign_test(len(better), len(worse)),
        ),
        shifts=shifts,
        left_out=[name for name in named if name not in paired],
        is_same_judge=is_same_judge,
    )


def told(finding: Finding) -> str:
    """Return in words what a test says, and what it does not."""
    if not finding.differing:
        return "no prompt differs"
    chance = f"p = {finding.p_value:#.2g}"
    if not finding.can_tell:
        few = f"only {finding.differing} of {finding.pairs} prompts differ"
        return f"too few to tell: {few}, and less than 6 never can ({chance})"
    if finding.is_significant:
        return f"significant: hardly chance ({chance})"
    return f"not significant: may be chance, which does not show that they are equal ({chance})"


def _scores(pairs: Sequence[tuple[PromptResult, PromptResult]]) -> list[Shift]:
    names = dict.fromkeys(name for _, new in pairs for name in new.scores)
    found = {
        name: [
            (old.scores[name], new.scores[name])
            for old, new in pairs
            if name in old.scores and name in new.scores
        ]
        for name in names
    }
    return [_shift(name, scored) for name, scored in found.items() if scored]


def _shift(name: str, pairs: Sequence[tuple[Fraction, Fraction]]) -> Shift:
    differences = [new - old for old, new in pairs]
    return Shift(
        name=name,
        before=float(sum(old for old, _ in pairs) / len(pairs)),
        after=float(sum(new for _, new in pairs) / len(pairs)),
        interval=bootstrap_interval([float(one) for one in differences]),
        finding=Finding(
            pairs=len(pairs),
            differing=sum(one != 0 for one in differences),
            p_value=sign_flip_test(differences),
        ),
    )
