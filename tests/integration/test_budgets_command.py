"""`askonce budgets`, as it is typed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from askonce.cli import app


@pytest.fixture(autouse=True)
def _chosen(empty_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Name a database that nobody has set up yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", empty_database_url)


def typed(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def budgets(*arguments: str) -> Result:
    return typed("budgets", *arguments)


def listed() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(budgets("list", "--json").stdout)
    return found


def test_budgets_are_set_changed_listed_and_removed() -> None:
    typed("keys", "create", "web")
    done = [
        budgets("set", "--tenant", "acme", "--usd", "100", "--per", "month"),
        budgets("set", "--user", "alice", "--usd", "5.00", "--per", "day"),
        budgets("set", "--key", "web", "--tokens", "100000", "--per", "day"),
        budgets("set", "--user", "alice", "--usd", "0.000001", "--per", "day"),
        budgets("remove", "--tenant", "acme", "--unit", "usd", "--per", "month"),
    ]

    seen = [(one["tenant"], one["kind"], one["name"], one["limit"]) for one in listed()]
    shown = budgets("list").stdout.splitlines()
    removed_again = budgets("remove", "--tenant", "acme", "--unit", "usd", "--per", "month")

    assert [one.exit_code for one in done] == [0] * 5
    assert seen == [
        ("default", "user", "alice", "0.000001"),
        ("default", "key", "1", 100_000),
    ]
    assert re.split(r"\s{2,}", shown[2])[:7] == [
        "default", "key 1", "100000 tokens", "day", "0", "0", "0",
    ]  # fmt: skip
    assert removed_again.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--usd", "5", "--per", "day"], "say for whom"),
        (["--user", "a", "--key", "b", "--usd", "5", "--per", "day"], "one of them"),
        (["--user", "a", "--per", "day"], "one of them is needed"),
        (["--user", "a", "--usd", "1", "--tokens", "1", "--per", "day"], "one of them is needed"),
        (["--user", "a b", "--usd", "1", "--per", "day"], "--user"),
        (["--tenant", "", "--usd", "1", "--per", "day"], "--tenant"),
        (["--key", "nobody", "--usd", "1", "--per", "day"], "no such key"),
        (["--user", "a", "--usd", "-1", "--per", "day"], "--usd"),
        (["--user", "a", "--usd", "1e3", "--per", "day"], "--usd"),
        (["--user", "a", "--usd", "0.0000001", "--per", "day"], "--usd"),
        (["--user", "a", "--tokens", "-1", "--per", "day"], ""),
        (["--user", "a", "--usd", "1", "--per", "week"], ""),
    ],
)
def test_what_makes_no_budget_is_said_in_one_line(arguments: list[str], complaint: str) -> None:
    refused = budgets("set", *arguments)

    assert refused.exit_code == 2
    assert complaint in refused.stderr
    assert "Traceback" not in refused.stderr
