"""`askonce batch --provider-batch`, as it is typed, with real kills while a batch is being sent."""

import json
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, update
from typer.testing import CliRunner, Result

from askonce.cli import app
from askonce.db.batch_rows import BatchRow
from tests.fork_server.client import ForkedProcess, fork_server
from tests.serving import bare_environment, until
from tests.stub.client import StubProvider


class Bulk:
    """One input, one output, and the command between them."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.input = folder / "in.jsonl"
        self.out = folder / "out.jsonl"
        self._environment = environment

    def write(self, *lines: dict[str, Any] | bytes) -> None:
        raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
        self.input.write_bytes(b"".join(line + b"\n" for line in raw))

    def run(self, *options: str) -> Result:
        return CliRunner().invoke(app, self._arguments(*options))

    def begin(self) -> ForkedProcess:
        environment = {**bare_environment(), **self._environment}
        forks = fork_server(**bare_environment())
        return forks.start(self._arguments(), environment, self.folder, self.folder / "log")

    def age(self, passed: timedelta) -> None:
        """Have all batches been marked as being sent so much earlier."""
        engine = create_engine(self._environment["ASKONCE_DATABASE_URL"])
        with engine.begin() as connection:
            connection.execute(update(BatchRow).values(sent_at=datetime.now(UTC) - passed))
        engine.dispose()

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_bytes().splitlines()]

    def _arguments(self, *options: str) -> list[str]:
        return ["batch", str(self.input), "-o", str(self.out), "--provider-batch", *options]


@pytest.fixture
def bulk(
    tmp_path: Path, sqlite_url: str, stub: StubProvider, monkeypatch: pytest.MonkeyPatch
) -> Bulk:
    environment = {
        "ASKONCE_DATABASE_URL": sqlite_url,
        "ASKONCE_SPOOL": str(tmp_path / "spool"),
        "ASKONCE_PROVIDER": "openai",
        "OPENAI_API_KEY": "stub",
        "OPENAI_BASE_URL": stub.openai_url,
        "ANTHROPIC_API_KEY": "stub",
        "ANTHROPIC_BASE_URL": stub.claude_url,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return Bulk(tmp_path, environment)


def test_misses_wait_at_the_vendors_and_the_same_command_collects_them_at_half_the_price(
    bulk: Bulk, stub: StubProvider
) -> None:
    bulk.write(
        {"text": "First?", "id": "a"},
        {"text": "Second?", "provider": "claude"},
        {"text": "First?", "user_id": "bob"},
        b"no JSON",
        {"text": "Third?", "provider": "local"},
        {"text": "Fourth? [[400]]"},
        {"text": "Fifth? [[expired]]", "provider": "claude"},
    )
    sent = bulk.run()
    assert sent.exit_code == 4, sent.output
    assert "still being made" in sent.stderr
    assert bulk.records() == []
    assert bulk.run().exit_code == 4
    assert sorted(len(batch) for batch in stub.batches()) == [2, 2]

    stub.finish_batches()
    done = bulk.run("--json")
    assert done.exit_code == 1, done.output
    assert len(stub.calls()) == 3
    kinds = [one["error"]["type"] if "error" in one else "analysis" for one in bulk.records()]
    assert kinds == [
        "analysis",
        "analysis",
        "analysis",
        "bad-line",
        "validation",
        "provider-rejected",
        "expired",
    ]
    first, second, third = (one["analysis"] for one in bulk.records()[:3])
    assert (first["cached"], third["cached"], third["user_id"]) == (False, True, "bob")
    assert third["result"] == first["result"]
    prices = {"claude": ("claude-haiku-5-5", second), "openai": ("gpt-6-luna", first)}
    for model, analysis in prices.values():
        assert (analysis["model"], analysis["cost_usd"]) == (model, half_price(analysis))

    # What failed is asked again, and nothing else.
    assert bulk.run("--retry-failed").exit_code == 4
    assert [len(batch) for batch in stub.batches()[2:]] == [1, 1]

    # Whoever asks the same now is given it.
    bulk.out.unlink()
    bulk.write({"text": "Second?", "provider": "claude"}, {"text": "First?"})
    again = bulk.run("--json")
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["hits"] == 2
    assert len(stub.batches()) == 4


def half_price(analysis: dict[str, Any]) -> str:
    from datetime import UTC, datetime

    from askonce.http.shown import dollars
    from askonce.providers.prices import Prices

    whole = Prices().cost(
        analysis["provider"],
        analysis["model"],
        analysis["tokens_in"],
        analysis["tokens_out"],
        0,
        0,
        datetime.now(UTC),
    )
    assert whole is not None
    return str(dollars(whole / 2))


@pytest.mark.parametrize(
    ("window", "arrived"), [("held=start", 0), ("held=end", 1)], ids=["before", "after"]
)
def test_a_kill_while_a_batch_is_being_sent_pays_for_it_once(
    bulk: Bulk, stub: StubProvider, window: str, arrived: int
) -> None:
    bulk.write(*[{"text": f"Killed {number}?"} for number in range(3)])
    # The file, then the batch.
    stub.will("ok", window)
    process = bulk.begin()
    until(lambda: stub.is_held() and len(stub.batches()) == arrived)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)

    # A large one may be under way for long: what does not answer yet may still arrive.
    early = bulk.run()
    assert "cannot be told yet" in early.stderr
    assert len(stub.batches()) == arrived
    bulk.age(timedelta(hours=1))
    assert "cannot be told yet" not in bulk.run().stderr
    assert [len(batch) for batch in stub.batches()] == [3]
    stub.finish_batches()
    done = bulk.run()
    assert done.exit_code == 0, done.output
    assert len(stub.calls()) == len(bulk.records()) == 3


def test_batches_are_no_matter_of_a_url_or_of_standard_input(bulk: Bulk) -> None:
    bulk.write({"text": "Where?"})
    remote = bulk.run("--url", "http://127.0.0.1:9")
    assert remote.exit_code == 2
    assert "works on the database" in remote.stderr
    piped = CliRunner().invoke(
        app, ["batch", "-", "-o", str(bulk.out), "--provider-batch"], input="{}"
    )
    assert piped.exit_code == 2
    assert "name a file" in piped.stderr
