"""What a run comes to: for each prompt, and in all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from askonce.evaluation.records import Row, Run, Told
from askonce.evaluation.results import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptResult:
    """One prompt, all its repeats together. `asked` are those that say something of the model."""

    prompt: str
    digest: str
    asked: int
    passes: int
    share: Fraction
    scores: Mapping[str, Fraction]
    unmet: Sequence[str]
    problems: Sequence[str]

    @property
    def passed(self) -> bool:
        """Whether more than half of the repeats passed."""
        return 2 * self.passes > self.asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What answers took. `cost` is of those that were paid for now; `unpriced` are not in it."""

    calls: int
    cached: int
    tokens_in: int
    tokens_out: int
    cost: Decimal
    unpriced: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A run in figures; means are over prompts, of which each counts the same.

    `unanswered` questions, to the model or to its judge, may still be answered; `unjudged` answers
    have no verdict for whatever reason.
    """

    run: Run
    models: Sequence[str]
    results: Sequence[PromptResult]
    unanswered: int
    unjudged: int
    answers: Spending
    verdicts: Spending

    @property
    def asked(self) -> int:
        return sum(result.asked > 0 for result in self.results)

    @property
    def passed(self) -> int:
        return sum(result.passed for result in self.results)

    @property
    def percent(self) -> float:
        """How many of all prompts passed; one that was not answered did not."""
        return 100 * self.passed / self.run.plan.prompts

    @property
    def share(self) -> Fraction | None:
        """The mean share of checks that hold."""
        return mean(result.share for result in self.results if result.asked)

    @property
    def scores(self) -> Mapping[str, Fraction]:
        """The mean of what the judge gave, for each criterion."""
        names = dict.fromkeys(name for result in self.results for name in result.scores)
        means = {
            name: mean(one.scores[name] for one in self.results if name in one.scores)
            for name in names
        }
        return {name: one for name, one in means.items() if one is not None}


def summarised(stored: Stored) -> Summary:
    """Return what a run comes to so far."""
    rows = stored.rows
    told = [row.answer for row in rows if row.answer is not None]
    judged = [row.judged for row in rows if row.judged is not None]
    prompts = dict.fromkeys(row.prompt for row in rows)
    return Summary(
        run=stored.run,
        models=tuple(dict.fromkeys(f"{one.provider}:{one.model}" for one in told)),
        results=tuple(_result([row for row in rows if row.prompt == one]) for one in prompts),
        unanswered=sum(not row.is_final for row in rows),
        unjudged=sum(row.judge_problem is not None for row in rows),
        answers=_spending(told),
        verdicts=_spending(judged),
    )


def mean(values: Iterable[Fraction]) -> Fraction | None:
    """Return the mean; None of nothing."""
    found = list(values)
    return sum(found, Fraction()) / len(found) if found else None


def _result(rows: Sequence[Row]) -> PromptResult:
    counted = [row for row in rows if row.counts]
    scored = [row.scores for row in counted if row.scores]
    names = dict.fromkeys(name for scores in scored for name in scores)
    return PromptResult(
        prompt=rows[0].prompt,
        digest=rows[0].digest,
        asked=len(counted),
        passes=sum(row.passed for row in counted),
        share=mean(row.share for row in counted) or Fraction(),
        scores={
            name: mean(Fraction(one[name].score) for one in scored if name in one) or Fraction()
            for name in names
        },
        unmet=tuple(
            dict.fromkeys(
                check.wanted
                for row in counted
                if row.answer is not None
                for check in row.checks
                if not check.holds
            )
        ),
        problems=tuple(
            dict.fromkeys(
                problem for row in rows for problem in (row.problem, row.judge_problem) if problem
            )
        ),
    )


def _spending(told: Sequence[Told]) -> Spending:
    paid = [one for one in told if not one.cached]
    return Spending(
        calls=len(paid),
        cached=len(told) - len(paid),
        tokens_in=sum(one.tokens_in for one in told),
        tokens_out=sum(one.tokens_out for one in told),
        cost=sum((one.cost_usd for one in paid if one.cost_usd is not None), Decimal()),
        unpriced=sum(one.cost_usd is None for one in paid),
    )
