"""`askonce keys`, on both databases."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from askonce.cli import app

TEXT = r"ask_[A-Za-z0-9_-]{43}"


@pytest.fixture(autouse=True)
def _over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty_database_url: str) -> None:
    """Work on a database that nobody has set up yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_DATABASE_URL", empty_database_url)


def keys(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def listed() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(keys("list", "--json").stdout)
    return found


def test_a_key_alone_goes_to_standard_output_once() -> None:
    made = keys("create", "web")

    assert made.exit_code == 0
    assert re.fullmatch(TEXT + "\n", made.stdout)
    assert "Key 1, web (service), reaches all users of tenant default." in made.stderr
    assert not re.search(TEXT, made.stderr + keys("list").stdout + keys("list", "--json").stdout)


def test_keys_are_listed_with_what_they_reach() -> None:
    keys("create", "phone", "--user", "alice", "--tenant", "acme")
    keys("create", "ops", "--admin")
    keys("revoke", "ops")

    table = keys("list").stdout.splitlines()

    assert [(one["name"], one["role"], one["user_id"], one["is_good"]) for one in listed()] == [
        ("phone", "user", "alice", True),
        ("ops", "admin", None, False),
    ]
    assert table[0].split() == ["ID", "TENANT", "NAME", "ROLE", "USER", "KEY", "MADE", "STATE"]
    assert table[1].split()[:5] == ["1", "acme", "phone", "user", "alice"]
    assert "revoked" in table[2]
    assert len(keys("list", "--tenant", "acme").stdout.splitlines()) == 2


def test_a_key_is_rotated_under_its_id() -> None:
    first = keys("create", "web").stdout

    second = keys("rotate", "web", "--grace", "60")

    assert re.fullmatch(TEXT + "\n", second.stdout)
    assert second.stdout != first
    assert "The old one is good for 60 s more." in second.stderr
    [key] = listed()
    assert (key["id"], key["is_good"], key["old_until"] is None) == (1, True, False)
    assert keys("rotate", "1").exit_code == 0
    assert listed()[0]["old_until"] is None


@pytest.mark.parametrize(
    ("code", "says", "command"),
    [
        (2, "NAME: ", "create 7"),
        (2, "--tenant: ", "create a --tenant a/b"),
        (2, "--user: ", "create a --user a/b"),
        (2, "for one of them", "create a --user b --admin"),
        (2, "grace: 0 to", "rotate web --grace -1"),
        (1, "there is a key web already", "create web"),
        (1, "no key that is good", "revoke phone"),
        (1, "no key that is good", "revoke web --tenant acme"),
        (1, "no key that is good", "rotate 2"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(code: int, says: str, command: str) -> None:
    keys("create", "web")

    result = keys(*command.split())

    assert (result.exit_code, result.stdout) == (code, "")
    assert re.fullmatch(r"askonce: [^\n]+\n", result.stderr)
    assert says in result.stderr


def test_no_schema_is_changed_where_the_settings_leave_that_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ASKONCE_MIGRATE", "never")

    made = keys("create", "web")

    assert made.exit_code == 2
    assert made.stdout == ""
    assert "askonce db upgrade" in made.stderr
