"""`askonce analyze`, `chat`, `history` and `usage` at a running service, as scripts use them."""

import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from askonce.cli import app
from tests.databases import SqliteTemplates
from tests.serving import Server, Servers
from tests.stub.client import StubProvider

ESCAPE = "\x1b]52;c;cm0gLXJmIC8=\x07"


@pytest.fixture(scope="module")
def shared_url(sqlite_templates: SqliteTemplates) -> str:
    return sqlite_templates.copy()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, running_stub: StubProvider, shared_url: str
) -> Iterator[Server]:
    servers = Servers(tmp_path_factory.mktemp("commands") / "servers", running_stub)
    yield servers.start(shared_url, ASKONCE_MAX_TRIES=1, ASKONCE_CIRCUIT_FAILURES=1000)
    servers.stop()


@pytest.fixture(autouse=True)
def _here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stub: StubProvider, server: Server
) -> None:
    """Work as somebody of whom the service knows nothing yet. Texts are another one's each time."""
    del stub
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ASKONCE_URL", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("ASKONCE_KEY", "")
    monkeypatch.setenv("USER", uuid.uuid4().hex)


def run(*arguments: str, typed: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=typed)


def facts(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_an_answer_goes_to_standard_output_and_what_it_took_elsewhere() -> None:
    first = run("analyze", "What? [[text=That.]]")
    again = run("analyze", "What? [[text=That.]]")

    assert (first.exit_code, first.stdout) == (0, "That.\n")
    assert re.fullmatch(
        r"asked: openai gpt-6-luna, \d+ tokens in, \d+ out, \$0\.0\d+\n", first.stderr
    )
    assert again.stdout == "That.\n"
    assert again.stderr.startswith("remembered, nothing spent: openai ")
    assert re.search(r"\d+ s ago\n$", again.stderr)


def test_a_refresh_asks_again(stub: StubProvider) -> None:
    run("analyze", "What anew?")

    assert "asked: " in run("analyze", "What anew?", "--refresh").stderr
    assert len(stub.calls()) == 2


def test_the_same_text_is_the_same_question_however_it_is_given(
    stub: StubProvider, tmp_path: Path
) -> None:
    (tmp_path / "question.txt").write_text("Ünïcode?\n")

    run("analyze", "question.txt")
    run("analyze", "-", typed="Ünïcode?\n")
    run("analyze", "Ünïcode?\n")
    reading, writing = os.pipe()
    os.write(writing, "Ünïcode?\n".encode())
    os.close(writing)
    # As <(command) gives it.
    run("analyze", f"/dev/fd/{reading}")
    os.close(reading)

    assert len(stub.calls()) == 1


def test_json_is_the_whole_analysis_in_the_words_of_the_api() -> None:
    analysis = facts(run("analyze", "What as JSON?", "--user", "bob", "--json"))

    assert (analysis["user_id"], analysis["cached"]) == ("bob", False)
    assert isinstance(analysis["cost_usd"], str)
    assert analysis["created_at"].endswith("Z")
    assert analysis["cache_status"] == "askonce; fwd=uri-miss; stored"


def test_a_schema_gives_the_data_that_fit_it(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"tone": {"type": "string"}}, "required": ["tone"]}
    (tmp_path / "tone.json").write_text(json.dumps(schema))

    result = run("analyze", 'Tone? [[text={"tone": "calm"}]]', "--schema", "tone.json")

    assert facts(result) == {"tone": "calm"}


def test_what_a_model_says_cannot_act_on_the_terminal() -> None:
    shown = run("analyze", f"Attack. [[text=red {ESCAPE} alert]]")
    listed = run("history")
    whole = run("history", "show", str(ids()[0]))
    talked = run("chat", typed=f"Attack. [[say=red {ESCAPE} alert]]\n")

    assert "red ␛]52" in shown.stdout
    for result in (shown, listed, whole, talked):
        assert result.exit_code == 0, result.stderr
        assert "\x1b" not in result.output
        assert "\x07" not in result.output


@pytest.mark.parametrize(
    ("says", "arguments", "typed"),
    [
        ("--schema: none.json: No such file", ["What?", "--schema", "none.json"], None),
        ("--schema: odd.json is not JSON", ["What?", "--schema", "odd.json"], None),
        ("standard input: not a text in UTF-8", ["-"], b"\xff\xfe"),
        ("standard input: longer than the 200 000", ["-"], "x" * 800_001),
        ("ASKONCE_URL: is not an address", ["What?", "--url", "here"], None),
    ],
    ids=["schema", "json", "utf-8", "long", "url"],
)
def test_what_cannot_be_asked_is_told_in_one_line(
    says: str, arguments: list[str], typed: str | bytes | None, tmp_path: Path
) -> None:
    (tmp_path / "odd.json").write_text("{")

    result = run("analyze", *arguments, typed=typed)

    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"askonce: [^\n]+\n", result.stderr)
    assert says in result.stderr


def test_what_the_provider_cannot_answer_ends_with_one() -> None:
    result = run("analyze", "Fail. [[500]]")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "(504 provider-exhausted, request " in result.stderr


def test_a_piped_conversation_is_a_message_a_line_and_goes_on_later(stub: StubProvider) -> None:
    first = run(
        "chat", typed="My name is Ann. [[say=Hello.]]\n\nGo \\\non. [[say=On.]]\n/quit\nno\n"
    )
    later = run("chat", "--last", typed="And? [[say=Well.]]\n/summary\n")

    assert (first.exit_code, first.stdout) == (0, "Hello.\nOn.\n")
    assert len(re.findall(r"75% sure; in all \d+ tokens, \$0\.0\d+", first.stderr)) == 2
    assert later.stdout.startswith("Well.\n")
    assert "4 messages" in later.stderr
    said = json.dumps(stub.calls()[2]["body"])
    assert "My name is Ann." in said
    assert "Go \\non." in said


def test_a_piped_conversation_ends_where_a_message_is_not_answered(stub: StubProvider) -> None:
    result = run("chat", typed="Fail. [[500]]\nGo on.\n")

    assert (result.exit_code, result.stdout) == (1, "")
    assert len(stub.calls()) == 1


@pytest.mark.parametrize(
    ("code", "says", "arguments"),
    [
        (1, " has no conversation yet", "--last"),
        (1, "(404 not-found", "--session 99"),
        (2, "one of them", "--session 99 --last"),
        (2, "from its beginning", "--last --title No"),
    ],
)
def test_what_cannot_be_gone_on_with_is_told_in_one_line(
    code: int, says: str, arguments: str
) -> None:
    result = run("chat", *arguments.split(), typed="")

    assert (result.exit_code, result.stdout) == (code, "")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_history_is_listed_searched_shown_and_deleted() -> None:
    for text in ("First of all. [[text=apples]]", "Then. [[text=pears]]", "Then. [[text=pears]]"):
        run("analyze", text)
    third, second, first = ids()

    rows = run("history").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["ID", str(third), str(second), str(first)]
    assert "saved" in rows[1]
    assert ids("--q", "apples") == [first]
    assert ids("--cached") == [third]
    assert ids("--limit", "2") == [third, second]
    assert ids("--user", "nobody") == []
    shown = run("history", "show", str(first))
    assert shown.stdout == "First of all. [[text=apples]]\napples\n"

    deleted = run("history", "delete", str(first), str(second), "--yes")

    assert deleted.stderr == f"{first} is deleted\n{second} is deleted\n"
    assert ids() == [third]
    assert run("history", "delete", str(first), "--yes").exit_code == 1


def ids(*options: str) -> list[int]:
    result = run("history", "--json", *options)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["id"] for line in result.stdout.splitlines()]


def test_nothing_is_deleted_where_nobody_can_be_asked() -> None:
    run("analyze", "What stays?")

    result = run("history", "delete", str(ids()[0]), typed="y\n")

    assert (result.exit_code, result.stderr) == (2, "askonce: --yes: nobody is there to be asked\n")
    assert len(ids()) == 1


def test_usage_is_told_of_one_user_in_the_same_shape_as_from_the_database(
    monkeypatch: pytest.MonkeyPatch, shared_url: str
) -> None:
    for _ in range(2):
        run("analyze", "What did it take?", "--user", "spender")

    told = facts(run("usage", "spender", "--json"))
    nobody = run("usage", "--json")
    monkeypatch.setenv("ASKONCE_URL", "")
    monkeypatch.setenv("ASKONCE_DATABASE_URL", shared_url)

    assert told == facts(run("usage", "spender", "--json"))
    assert (told["total"]["calls"], told["total"]["hits"]) == (1, 1)
    assert nobody.exit_code == 2
    assert "USER: a running service tells of one user" in nobody.stderr


def test_the_usage_of_nobody_is_not_nothing() -> None:
    result = run("usage", "two words")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("askonce: USER: 1 to 128 characters")


def test_a_history_is_not_begun_by_looking_for_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASKONCE_URL", "")
    monkeypatch.setenv("ASKONCE_DATABASE_URL", f"sqlite:///{tmp_path}/none.db")

    result = run("history")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no database" in result.stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(("name", "user"), [("ann", "ann"), ("ann lee", "me"), ("", "me")])
def test_a_user_is_called_as_they_are_here_where_that_can_be(
    name: str, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", name)

    assert facts(run("analyze", "Who?", "--json"))["user_id"] == user
