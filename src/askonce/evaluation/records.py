"""What a run leaves behind: whom it asked how, and what came back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from askonce.evaluation.judging import Score
from askonce.evaluation.schemas import schema_text
from askonce.services.structured import faults


@dataclass(frozen=True, slots=True)
class Target:
    """A model to ask; None: the provider's, or the service's, own choice."""

    provider: str | None = None
    model: str | None = None

    def __str__(self) -> str:
        return ":".join(part for part in (self.provider, self.model) if part) or "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is done in a run. Two runs with one plan are the same work."""

    spec: str
    digest: str
    prompts: int
    target: Target
    judge: Target | None = None
    repeats: int = 1
    refresh: bool = False
    user: str = "evaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One model answering one spec."""

    name: str
    plan: Plan
    askonce: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A model's answer. `cached`: it was not paid for this time."""

    text: str = field(repr=False)
    provider: str
    model: str
    finish_reason: str
    cached: bool
    tokens_in: int
    tokens_out: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One check: what was wanted, and whether it is so."""

    wanted: str
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One prompt asked once.

    `problem` names why there is no answer. One that `is_final` is the model's own doing, and asking
    again would not help; else the prompt counts as not asked yet.
    """

    prompt: str
    digest: str
    repeat: int
    answer: Told | None = None
    problem: str | None = None
    is_final: bool = True
    checks: Sequence[Outcome] = ()
    scores: Mapping[str, Score] = field(default_factory=dict)
    judged: Told | None = None
    judge_problem: str | None = None

    @property
    def passed(self) -> bool:
        return self.answer is not None and all(check.holds for check in self.checks)

    @property
    def share(self) -> Fraction:
        """How many of the checks hold, from 0 to 1."""
        return Fraction(sum(check.holds for check in self.checks), len(self.checks))

    @property
    def counts(self) -> bool:
        """Whether this says something about the model."""
        return self.answer is not None or self.is_final


class RecordError(Exception):
    """A line is no record of a run."""


def run_facts(run: Run) -> dict[str, Any]:
    """Return a run as JSON can carry it."""
    return {"kind": "run", "format": 1, **asdict(run), "started_at": run.started_at.isoformat()}


def row_facts(row: Row) -> dict[str, Any]:
    facts = asdict(row)
    for one in (facts["answer"], facts["judged"]):
        if one is not None and one["cost_usd"] is not None:
            one["cost_usd"] = f"{one['cost_usd']:f}"
    return {"kind": "answer", **facts}


def run_of(facts: Any) -> Run:
    """Return the run that `run_facts` wrote down.

    Raises:
        RecordError: it did not.
    """
    _check(facts, "run")
    plan, judge = facts["plan"], facts["plan"]["judge"]
    return Run(
        name=facts["name"],
        plan=Plan(
            **_known(Plan, plan)
            | {"target": Target(**plan["target"])}
            | {"judge": None if judge is None else Target(**judge)}
        ),
        askonce=facts["askonce"],
        started_at=datetime.fromisoformat(facts["started_at"]),
    )


def row_of(facts: Any) -> Row:
    """Return the row that `row_facts` wrote down.

    Raises:
        RecordError: it did not.
    """
    _check(facts, "answer")
    return Row(
        **_known(Row, facts)
        | {
            "answer": _told(facts["answer"]),
            "judged": _told(facts["judged"]),
            "checks": tuple(Outcome(**one) for one in facts["checks"]),
            "scores": {name: Score(**one) for name, one in facts["scores"].items()},
        }
    )


def _check(facts: Any, kind: str) -> None:
    if any(faults(_SCHEMA, facts)) or facts["kind"] != kind:
        raise RecordError


def _told(facts: Any) -> Told | None:
    if facts is None:
        return None
    cost = facts["cost_usd"]
    return Told(**_known(Told, facts) | {"cost_usd": None if cost is None else Decimal(cost)})


def _known(cls: type, facts: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(cls)}
    return {name: fact for name, fact in facts.items() if name in names}


_SCHEMA = schema_text("record.schema.json")
