"""Runs as files: gone on with when broken off, read whatever is left of them."""

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.evaluation.judging import Score
from askonce.evaluation.records import Outcome, Plan, Row, Run, Target, Told
from askonce.evaluation.results import Results, ResultsError, read_run
from askonce.evaluation.summaries import summarised
from tests.examples import NOW

PLAN = Plan(spec="s", digest="d", prompts=2, target=Target("openai", "m"), judge=Target("claude"))
RUN = Run(name="first", plan=PLAN, askonce="0.1.0", started_at=NOW)
LATER = replace(RUN, name="later", started_at=NOW + timedelta(hours=1))


def an_answer(**changes: Any) -> Told:
    facts: dict[str, Any] = {
        "text": "Yes.",
        "provider": "openai",
        "model": "m",
        "finish_reason": "stop",
        "cached": False,
        "tokens_in": 10,
        "tokens_out": 5,
        "cost_usd": Decimal("0.000213"),
    }
    return Told(**facts | changes)


def a_row(**changes: Any) -> Row:
    facts: dict[str, Any] = {
        "prompt": "a",
        "digest": "1",
        "repeat": 1,
        "answer": an_answer(),
        "checks": (Outcome(wanted="w", holds=True), Outcome(wanted="v", holds=False)),
        "scores": {"tone": Score(3, "so")},
        "judged": an_answer(cost_usd=None),
    }
    return Row(**facts | changes)


def store(folder: Path, run: Run, *rows: Row) -> Path:
    with Results(folder).opened(run) as file:
        for row in rows:
            file.add(row)
        return file.stored.path


@given(st.text(), st.decimals(0, 10, places=12) | st.none())
def test_what_is_written_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, text: str, cost: Decimal | None
) -> None:
    row = a_row(answer=an_answer(text=text, cost_usd=cost))

    path = store(tmp_path_factory.mktemp("runs"), RUN, row)

    stored = read_run(path)
    assert (stored.run, stored.rows) == (RUN, (row,))


def test_a_run_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert store(tmp_path, RUN).stat().st_mode & 0o777 == 0o600


def test_a_run_that_was_broken_off_in_the_middle_of_a_line_is_gone_on_with(tmp_path: Path) -> None:
    path = store(tmp_path, RUN, a_row())
    with path.open("ab") as file:
        file.write(b'{"kind": "answer", "prompt": "b", "tex')

    assert store(tmp_path, LATER, a_row(prompt="b")) == path

    assert [row.prompt for row in read_run(path).rows] == ["a", "b"]


@pytest.mark.parametrize(
    "later",
    [
        replace(LATER, plan=replace(PLAN, digest="other")),
        replace(LATER, plan=replace(PLAN, target=Target("openai", "other"))),
        replace(LATER, plan=replace(PLAN, judge=None)),
        replace(LATER, plan=replace(PLAN, repeats=2)),
        replace(LATER, plan=replace(PLAN, refresh=True)),
        replace(LATER, started_at=NOW + timedelta(hours=24)),
    ],
)
def test_other_work_and_yesterdays_are_runs_of_their_own(tmp_path: Path, later: Run) -> None:
    path = store(tmp_path, RUN, a_row())

    assert store(tmp_path, later) != path


def test_a_complete_run_is_left_as_it_is_and_one_without_an_answer_is_not(tmp_path: Path) -> None:
    lacking = a_row(prompt="b", answer=None, problem="503", is_final=False)
    path = store(tmp_path, RUN, a_row(), lacking)

    assert store(tmp_path, LATER, a_row(prompt="b")) == path
    assert store(tmp_path, LATER) != path
    assert [row.prompt for row in read_run(path).rows] == ["a", "b"]
    assert all(row.answer for row in read_run(path).rows)


def test_two_processes_do_not_write_into_one_run(tmp_path: Path) -> None:
    with ExitStack() as both:
        one = both.enter_context(Results(tmp_path).opened(RUN))
        other = both.enter_context(Results(tmp_path).opened(LATER))

        assert one.stored.path != other.stored.path


def test_the_last_run_is_the_newest_complete_one_of_the_same_model(tmp_path: Path) -> None:
    rows = (a_row(), a_row(prompt="b"))
    first = store(tmp_path, replace(RUN, name="1-first"), *rows)
    store(tmp_path, replace(RUN, name="2-of-another", plan=replace(PLAN, judge=None)), *rows)
    store(tmp_path, replace(RUN, name="3-broken-off", plan=replace(PLAN, repeats=2)), *rows)
    (tmp_path / "4-odd.jsonl").write_text("{}")
    changed = replace(RUN, name="5-now", plan=replace(PLAN, digest="changed"))
    store(tmp_path, changed, *rows)

    last = Results(tmp_path).last(changed)

    assert last is not None
    assert last.path == first
    assert Results(tmp_path).last(last.run) != last


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is empty"),
        (b"{}\n", "line 1: is not the beginning"),
        (b"\xff\n", "line 1: is not the beginning"),
        (b'{"kind": "run", "format": 2}\n', "line 1: is not the beginning"),
        (b"[" * 100_000 + b"\n", "line 1: is not the beginning"),
        (None, "line 3: is no answer"),
    ],
)
def test_what_is_no_run_is_named(tmp_path: Path, text: bytes | None, says: str) -> None:
    path = tmp_path / "odd.jsonl"
    good = store(tmp_path / "good", RUN, a_row()).read_bytes()
    path.write_bytes(good + b'{"kind": "answer"}\n' if text is None else text)

    with pytest.raises(ResultsError, match=says):
        read_run(path)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ResultsError, match="file"), Results(tmp_path / "file").opened(RUN):
        pass


def test_a_prompt_passes_with_more_than_half_of_its_repeats(tmp_path: Path) -> None:
    good, bad = (Outcome(wanted="w", holds=True),), (Outcome(wanted="w", holds=False),)
    rows = [
        *(a_row(repeat=number, checks=good if number < 3 else bad) for number in (1, 2, 3)),
        *(
            a_row(prompt="b", repeat=number, checks=good if number < 2 else bad)
            for number in (1, 2)
        ),
    ]

    summary = summarised(read_run(store(tmp_path, RUN, *rows)))

    assert [result.passed for result in summary.results] == [True, False]
    assert summary.percent == 50
    assert summary.share == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_what_is_not_answered_says_nothing_of_the_model_and_did_not_pass(tmp_path: Path) -> None:
    lacking = a_row(prompt="b", answer=None, judged=None, scores={}, problem="503", is_final=False)
    met = a_row(checks=(Outcome(wanted="w", holds=True),))

    summary = summarised(read_run(store(tmp_path, RUN, met, lacking)))

    assert (summary.percent, summary.unanswered) == (50, 1)
    assert summary.share == Fraction(1)


def test_only_what_was_paid_for_now_is_spent(tmp_path: Path) -> None:
    rows = [a_row(), a_row(prompt="b", answer=an_answer(cached=True), judged=None)]

    summary = summarised(read_run(store(tmp_path, RUN, *rows)))

    assert (summary.answers.calls, summary.answers.cached) == (1, 1)
    assert summary.answers.cost == Decimal("0.000213")
    assert summary.verdicts.unpriced == 1
