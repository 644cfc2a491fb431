"""`askonce batch`, against a real server and with real kills."""

import json
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from askonce import Client
from askonce.cli import app
from askonce.client import ProblemError
from tests.databases import SqliteTemplates
from tests.fork_server.client import ForkedProcess, fork_server
from tests.serving import Server, Servers, bare_environment, until
from tests.stub.client import StubProvider


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    running_stub: StubProvider,
    sqlite_templates: SqliteTemplates,
) -> Iterator[Server]:
    servers = Servers(tmp_path_factory.mktemp("batch") / "servers", running_stub)
    # What the provider does wrong is the line's: the service itself tries once.
    yield servers.start(sqlite_templates.copy(), ASKONCE_MAX_TRIES=1, ASKONCE_CIRCUIT_FAILURES=1000)
    servers.stop()


class Bulk:
    """One input, one output, and the command between them."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.input = folder / "in.jsonl"
        self.out = folder / "out.jsonl"
        self.url = url

    def write(self, *lines: dict[str, Any] | bytes) -> None:
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        self.input.write_bytes(b"".join(line + b"\n" for line in raw))

    def arguments(self, *options: str) -> list[str]:
        return ["batch", str(self.input), "-o", str(self.out), "--url", self.url, *options]

    def run(self, *options: str) -> Result:
        return CliRunner().invoke(app, self.arguments(*options))

    def begin(self, *options: str) -> ForkedProcess:
        log = self.folder / "log"
        forks = fork_server(**bare_environment())
        return forks.start(self.arguments(*options), bare_environment(), self.folder, log)

    def records(self, name: str = "out.jsonl") -> list[dict[str, Any]]:
        path = self.folder / name
        whole = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in whole if line.endswith("\n")]


@pytest.fixture
def bulk(tmp_path: Path, server: Server, stub: StubProvider) -> Bulk:
    del stub
    return Bulk(tmp_path, f"http://127.0.0.1:{server.port}")


def texts(prefix: str, count: int) -> Sequence[dict[str, Any]]:
    return [{"text": f"{prefix} {number}?", "id": f"q{number}"} for number in range(count)]


def asked_of(stub: StubProvider) -> list[str]:
    return sorted(str(call["body"]["input"]) for call in stub.calls())


def is_refused(client: Client, user: str, **more: Any) -> bool:
    try:
        client.analyze(user, "May I?", cache_control="no-store", **more)
    except ProblemError as problem:
        return problem.status == 402
    return False


def test_each_line_gets_its_record_in_order_and_one_text_is_paid_for_once(
    bulk: Bulk, stub: StubProvider
) -> None:
    bulk.write(*texts("Order", 20), {"text": "Order 3?", "user_id": "bob"})
    done = bulk.run("--json", "--user", "ann")
    assert done.exit_code == 0, done.output
    records = bulk.records()
    assert [record["line"] for record in records] == list(range(1, 22))
    assert [record.get("id") for record in records] == [f"q{n}" for n in range(20)] + [None]
    assert records[20]["analysis"]["result"] == records[3]["analysis"]["result"]
    assert records[20]["analysis"]["user_id"] == "bob"
    assert len(stub.calls()) == 20
    summary = json.loads(done.stdout)
    assert (summary["lines"], summary["hits"], summary["misses"]) == (21, 1, 20)
    assert sorted(path.name for path in bulk.folder.iterdir()) == ["in.jsonl", "out.jsonl"]

    again = bulk.run("--json", "--user", "ann")
    assert json.loads(again.stdout) == summary
    with Client(bulk.url) as client:
        assert len(list(client.history("ann", q="Order"))) == 20


def test_bad_lines_are_records_with_their_fields_and_the_rest_is_asked(
    bulk: Bulk, stub: StubProvider
) -> None:
    bulk.write(
        {"text": "Good one?"},
        b"{",
        {"text": "a\0b"},
        {"text": "x" * 200_001},
        {"text": "Who?", "provider": "nobody"},
        {"text": "Late? [[500]]"},
        {"text": "Good two?"},
    )
    done = bulk.run("--errors", str(bulk.folder / "bad.jsonl"))
    assert done.exit_code == 1
    assert "2 misses, 5 failed" in done.stdout
    assert [record["line"] for record in bulk.records()] == [1, 7]
    bad = {record["line"]: record["error"] for record in bulk.records("bad.jsonl")}
    assert {line: error["type"] for line, error in bad.items()} == {
        2: "bad-line",
        3: "validation",
        4: "validation",
        5: "unknown-provider",
        6: "provider-exhausted",
    }
    assert bad[3]["errors"][0]["field"] == bad[4]["errors"][0]["field"] == "text"
    assert bad[6]["status"] == 504

    # Failed lines may be mended; the good ones are not asked again.
    bulk.write(
        {"text": "Good one?"},
        {"text": "Mended?"},
        *[{"text": f"Mended {number}?"} for number in range(4)],
        {"text": "Good two?"},
    )
    calls = len(stub.calls())
    done = bulk.run("--errors", str(bulk.folder / "bad.jsonl"), "--retry-failed")
    assert done.exit_code == 0, done.output
    assert [record["line"] for record in bulk.records()] == [1, 2, 3, 4, 5, 6, 7]
    assert bulk.records("bad.jsonl") == []
    assert len(stub.calls()) == calls + 5


def test_what_a_kill_cut_off_is_resumed_and_paid_for_once(bulk: Bulk, stub: StubProvider) -> None:
    lines = [*texts("Killed", 6), {"text": "Held? [[held=start]]"}, *texts("Behind", 6)]
    bulk.write(*lines)
    process = bulk.begin("--concurrency", "4", "--refresh")
    # Those behind the line that is held are bought, and have no record yet.
    until(lambda: len(bulk.records()) == 6 and len(stub.calls()) == 13)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    with bulk.out.open("ab") as out:
        out.write(b'{"line": 7, "digest": "cut he')
    stub.let_go()

    done = bulk.run("--refresh")
    assert done.exit_code == 0, done.output
    assert [record["line"] for record in bulk.records()] == list(range(1, 14))
    assert len(asked_of(stub)) == len(set(asked_of(stub))) == 13


def test_ctrl_c_finishes_what_runs_and_the_same_command_goes_on(
    bulk: Bulk, stub: StubProvider
) -> None:
    bulk.write(*[{"text": f"Interrupt {number}? [[held=start]]"} for number in range(30)])
    process = bulk.begin("--concurrency", "2")
    until(lambda: len(stub.calls()) == 2)
    os.kill(process.pid, signal.SIGINT)
    until(lambda: "finishing" in (bulk.folder / "log").read_text())
    stub.let_go()
    assert process.wait(60) == 130
    assert "goes on from here" in (bulk.folder / "log").read_text()
    assert len(bulk.records()) == len(stub.calls()) < 30
    assert bulk.run().exit_code == 0
    assert len(stub.calls()) == 30


def test_a_changed_input_is_noticed_and_nothing_is_overwritten(bulk: Bulk) -> None:
    bulk.write(*texts("Change", 3))
    assert bulk.run().exit_code == 0
    before = bulk.out.read_bytes()

    bulk.write(*texts("Changed", 3))
    changed = bulk.run()
    bulk.write(*texts("Change", 2))
    shorter = bulk.run()
    assert (changed.exit_code, shorter.exit_code) == (2, 2)
    assert "line 1 was another one" in changed.stderr
    assert "line 3 was another one" in shorter.stderr
    assert bulk.out.read_bytes() == before

    # More lines are no change.
    bulk.write(*texts("Change", 4))
    assert bulk.run().exit_code == 0
    assert len(bulk.records()) == 4


@pytest.mark.parametrize(
    "content",
    [
        b"my own notes",
        b"my own\nnotes\n",
        b'{"a": 1}\n',
        b'{"line": "1", "digest": "a"}\n',
        b'{"line": 1, "digest": "a", "error": 7}\n',
        b'{"line": 1, "digest": "a", "analysis": {"cost_usd": "free"}}\n',
        b'{"line": 1, "digest": "a", "analysis": {"cost_usd": "NaN"}}\n',
    ],
)
def test_a_file_of_somebody_else_is_no_output(bulk: Bulk, content: bytes) -> None:
    bulk.write(*texts("Foreign", 1))
    bulk.out.write_bytes(content)
    done = bulk.run()
    assert done.exit_code == 2
    assert "something else" in done.stderr
    assert bulk.out.read_bytes() == content


@pytest.mark.parametrize("beside", ["out.jsonl.run", "out.jsonl.retry"])
def test_a_file_of_somebody_else_beside_the_output_is_left_alone(bulk: Bulk, beside: str) -> None:
    bulk.write(*texts("Beside", 1))
    foreign = bulk.folder / beside
    foreign.write_bytes(b"my own notes\n")
    done = bulk.run()
    assert (done.exit_code, bulk.out.exists()) == (2, False)
    assert beside in done.stderr
    assert foreign.read_bytes() == b"my own notes\n"


def test_a_service_that_does_not_answer_stops_the_batch_which_can_be_resumed(
    bulk: Bulk,
) -> None:
    bulk.write(*texts("Nobody", 2))
    url, bulk.url = bulk.url, "http://127.0.0.1:9"
    done = bulk.run("--patience", "0")
    assert done.exit_code == 3
    assert "does not answer" in done.stderr
    bulk.url = url
    assert bulk.run().exit_code == 0


def test_a_budget_that_is_used_up_stops_the_batch_in_clear_words(
    bulk: Bulk, server: Server, stub: StubProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASKONCE_DATABASE_URL", server.database_url)
    poor, rich = (
        ["--user", "poor", "--per", "day", "--tokens", most] for most in ("1800", "99999")
    )
    assert CliRunner().invoke(app, ["budgets", "set", *poor]).exit_code == 0
    with Client(bulk.url) as client:
        # Too much for the budget by itself; it is known within a second.
        until(lambda: is_refused(client, "poor", max_output_tokens=3000))
    stub.reset()
    bulk.write(*texts("Poor", 60))
    done = bulk.run("--user", "poor", "--concurrency", "1")
    assert done.exit_code == 3
    assert "a budget is used up" in done.stderr
    paid = len(stub.calls())
    assert 0 < paid < 60
    assert [record["line"] for record in bulk.records()] == list(range(1, paid + 1))

    assert CliRunner().invoke(app, ["budgets", "set", *rich]).exit_code == 0
    until(lambda: bulk.run("--user", "poor").exit_code == 0)
    assert len(stub.calls()) == 60


def test_csv_from_standard_input(bulk: Bulk) -> None:
    arguments = ["batch", "-", "-o", str(bulk.out), "--url", bulk.url, "--format", "csv"]
    done = CliRunner().invoke(
        app, [*arguments, "--column", "review"], input="id,review\n1,Fine?\n2,Bad?\n"
    )
    assert done.exit_code == 0, done.output
    assert [(record["id"], record["line"]) for record in bulk.records()] == [("1", 2), ("2", 3)]
