"""`askonce audit` and `askonce usage`, and sealing by several processes at once."""

import json
import multiprocessing
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from askonce.cli import app
from askonce.core.clock import SystemClock
from askonce.core.events import Action
from askonce.db.database import SqlDatabase
from askonce.db.ledger import GroupCommitLedger
from askonce.services.sealing import Sealing
from tests.contracts.trails import Trail, an_event, book
from tests.examples import DAY, NOW
from tests.serving import PATIENCE_SECONDS

WRITERS = 3
BATCHES = 25


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ASKONCE_DATABASE_URL", database_url)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments)

    return run


@pytest.fixture
def trail(database: SqlDatabase) -> Any:
    trail = Trail(database)
    trail.book(4)
    trail.seal()
    yield trail
    trail.close()


def test_verifies_and_prints_what_is_to_be_kept(run: Any, trail: Trail) -> None:
    head = run("audit", "head").stdout.strip()
    trail.book(1)

    verified = run("audit", "verify", "--head", head)

    assert verified.exit_code == 0
    assert "good: 4 events under 1 seals" in verified.stdout
    assert "1 more are not sealed yet" in verified.stdout


def test_names_what_is_wrong_and_fails(run: Any, trail: Trail) -> None:
    head = run("audit", "head").stdout.strip()
    trail.run("UPDATE audit_events SET outcome = 'miss' WHERE id = 3")

    told = run("audit", "verify")
    as_json = run("audit", "verify", "--json", "--head", head)

    assert (told.exit_code, as_json.exit_code) == (1, 1)
    assert "wrong: event 3 was changed (seal 1)" in told.stdout
    assert json.loads(as_json.stdout)["wrong"]["event"] == 3


@pytest.mark.usefixtures("trail")
def test_a_head_that_is_none_is_told_in_one_line(run: Any) -> None:
    refused = run("audit", "verify", "--head", "yesterday")

    assert refused.exit_code == 2
    assert refused.stderr == "askonce: --head: not what `askonce audit head` prints\n"


def test_lists_the_trail(run: Any, trail: Trail) -> None:
    book(trail.database, an_event(user_id="bob", action=Action.HISTORY_READ, outcome="done"))

    told = run("audit", "list", "--user", "bob")
    lines = run("audit", "list", "--json", "--limit", "2").stdout.splitlines()

    assert "history.read" in told.stdout
    assert [json.loads(line)["id"] for line in lines] == [5, 4]


def test_shows_usage_with_a_bar_for_each_day(run: Any, database: SqlDatabase) -> None:
    book(database, an_event(), an_event(), an_event(action=Action.CALL, outcome="answered"))
    book(database, an_event(at=NOW + DAY), an_event(user_id="bob", at=NOW + DAY))

    told = run("usage", "alice").stdout.splitlines()
    totals = json.loads(run("usage", "--json", "--by", "model").stdout)["total"]

    assert [line.split()[0] for line in told[1:3]] == ["2026-11-21", "2026-11-22"]
    assert 0 < told[1].count("█") < told[1].count("░")
    assert "not known" in told[-1]
    assert (totals["calls"], totals["hits"], totals["unpriced"]) == (1, 4, 1)


def test_without_a_database_tells_so_in_one_line(
    run: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASKONCE_DATABASE_URL", f"sqlite:///{tmp_path / 'none.db'}")

    for command in (["usage"], ["audit", "verify"], ["audit", "head"], ["audit", "list"]):
        refused = run(*command)
        assert refused.exit_code == 2
        assert refused.stderr.count("\n") == 1


def _write(database: SqlDatabase, *, is_undone: bool) -> None:
    with database.transaction() as tx:
        for _ in range(4):
            tx.book(an_event())
        if is_undone:
            # Their ids are drawn, and then nobody ever has them.
            tx.write_booked()
            raise ZeroDivisionError


def _write_and_seal(url: str, begin: Any) -> None:
    database = SqlDatabase(url, pool_size=4)
    ledger = GroupCommitLedger(database)
    sealing = Sealing(database=database, ledger=ledger, clock=SystemClock())
    begin.wait()
    for batch in range(BATCHES):
        with suppress(ZeroDivisionError):
            _write(database, is_undone=batch % 5 == 0)
        sealing.seal()
    ledger.close()
    database.close()


def test_processes_that_write_and_seal_at_once_leave_a_trail_that_is_good(
    database_url: str,
) -> None:
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(WRITERS)
    writers = [
        context.Process(target=_write_and_seal, args=(database_url, begin)) for _ in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(PATIENCE_SECONDS)
    assert [writer.exitcode for writer in writers] == [0] * WRITERS

    database = SqlDatabase(database_url, pool_size=2)
    trail = Trail(database)
    while trail.verify().unsealed:
        trail.seal()
    verdict = trail.verify()
    trail.close()
    database.close()

    assert verdict.is_good
    assert (verdict.events, verdict.unsealed) == (WRITERS * BATCHES * 4 * 4 // 5, 0)
