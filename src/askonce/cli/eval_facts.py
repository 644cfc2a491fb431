"""What `askonce eval --json` prints."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from askonce.evaluation.comparing import Comparison, told
from askonce.evaluation.results import Stored
from askonce.evaluation.summaries import PromptResult, Spending, Summary


def facts_of(
    runs: Sequence[Stored], summaries: Sequence[Summary], comparisons: Sequence[Comparison]
) -> dict[str, Any]:
    """Return runs and comparisons as JSON can carry them."""
    return {
        "runs": [_run_facts(run, one) for run, one in zip(runs, summaries, strict=True)],
        "comparisons": [_comparison_facts(one) for one in comparisons],
    }


def _run_facts(run: Stored, summary: Summary) -> dict[str, Any]:
    plan = summary.run.plan
    return {
        "run": summary.run.name,
        "file": str(run.path),
        "spec": plan.spec,
        "digest": plan.digest,
        "askonce": summary.run.askonce,
        "started_at": f"{summary.run.started_at:%Y-%m-%dT%H:%M:%SZ}",
        "models": list(summary.models),
        "judge": None if plan.judge is None else str(plan.judge),
        "repeats": plan.repeats,
        "prompts": plan.prompts,
        "passed": summary.passed,
        "percent": round(summary.percent, 2),
        "checks": _number(summary.share),
        "scores": _numbers(summary.scores),
        "unanswered": summary.unanswered,
        "unjudged": summary.unjudged,
        "answers": _spending_facts(summary.answers),
        "verdicts": _spending_facts(summary.verdicts),
        "results": [_result_facts(one) for one in summary.results],
    }


def _result_facts(result: PromptResult) -> dict[str, Any]:
    return {
        "prompt": result.prompt,
        "passed": result.passed,
        "passes": result.passes,
        "asked": result.asked,
        "checks": _number(result.share),
        "scores": _numbers(result.scores),
        "unmet": list(result.unmet),
        "problems": list(result.problems),
    }


def _comparison_facts(comparison: Comparison) -> dict[str, Any]:
    return {
        "before": comparison.before.run.name,
        "after": comparison.after.run.name,
        "pairs": comparison.pairs,
        "better": list(comparison.better),
        "worse": list(comparison.worse),
        "left_out": list(comparison.left_out),
        "is_same_judge": comparison.is_same_judge,
        "passed": {"p_value": comparison.passed.p_value, "note": told(comparison.passed)},
        "shifts": [
            {
                "name": shift.name,
                "before": round(shift.before, 6),
                "after": round(shift.after, 6),
                "interval": [round(edge, 6) for edge in shift.interval],
                "p_value": shift.finding.p_value,
                "note": told(shift.finding),
            }
            for shift in comparison.shifts
        ],
    }


def _spending_facts(spent: Spending) -> dict[str, Any]:
    return {
        "calls": spent.calls,
        "cached": spent.cached,
        "tokens_in": spent.tokens_in,
        "tokens_out": spent.tokens_out,
        "cost_usd": f"{spent.cost:f}",
        "unpriced": spent.unpriced,
    }


def _numbers(scores: Mapping[str, Fraction]) -> dict[str, float | None]:
    return {name: _number(score) for name, score in scores.items()}


def _number(value: Fraction | None) -> float | None:
    return None if value is None else round(float(value), 4)
