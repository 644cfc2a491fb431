"""Batches at vendors: whatever dies, and wherever, each question is paid for once.

The vendors are the stub, spoken to by the real SDKs; both databases are real. Death is an exception
that nobody catches, before or after each single step that leaves the process: a commit, a call.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from sqlalchemy import func, select, text

from askonce.core.access import Caller
from askonce.core.budgets import Kind, Period, Scope, Unit
from askonce.core.clock import SystemClock
from askonce.core.errors import BudgetExceededError
from askonce.core.ports import HistoryFilter
from askonce.core.provider_batches import BatchProvider, BatchResult, LineState
from askonce.db.database import SqlDatabase
from askonce.db.ledger import GroupCommitLedger
from askonce.db.rows import AttemptRow
from askonce.providers.claude_batches import ClaudeBatches
from askonce.providers.openai_batches import OpenAIBatches
from askonce.providers.prices import Prices
from askonce.services.analyses import Analyses, Draft
from askonce.services.booking import Reads
from askonce.services.budgets import Budgets
from askonce.services.defaults import Defaults
from askonce.services.preferences import Preferences
from askonce.services.provider_batches import ProviderBatching, Wanted
from tests.contracts.homes import KnownProcesses
from tests.examples import DAY
from tests.stub.client import StubProvider

MODELS = {"claude": "claude-haiku-5-5", "openai": "gpt-6-luna"}
_RUNS = count(1)
_TOKENS = count(1)


class KilledError(BaseException):
    """The process is no more."""


class Fate:
    """Lets so many steps happen, and kills at the next one: before it, or after."""

    def __init__(self, steps: float = float("inf"), *, is_after: bool = False) -> None:
        self._left = steps
        self._is_after = is_after

    def step(self, take: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left >= 0:
            return take()
        if self._is_after and self._left == -1:
            take()
        raise KilledError


class MortalLedger:
    """The real ledger, each commit of which may be the last."""

    def __init__(self, ledger: GroupCommitLedger, fate: Fate) -> None:
        self._ledger = ledger
        self._fate = fate

    def write(self, work: Any, **options: Any) -> Any:
        return self._fate.step(lambda: _Done(self._ledger.write(work, **options).result()))

    def write_together(self, together: Any, item: Any) -> Any:
        return self._ledger.write_together(together, item)


@dataclass
class _Done:
    value: Any

    def result(self) -> Any:
        return self.value


class MortalVendor:
    """A real vendor, each sending of which may be the last step."""

    def __init__(self, vendor: BatchProvider, fate: Fate, *, most_lines: int) -> None:
        self._vendor = vendor
        self._fate = fate
        self.most_lines = most_lines
        self.most_bytes = vendor.most_bytes

    def send(self, token: str, questions: Any) -> str:
        sent: str = self._fate.step(lambda: self._vendor.send(token, questions))
        return sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vendor, name)


class Home:
    """A database, two vendors, and processes that come and go."""

    def __init__(self, database: SqlDatabase, stub: StubProvider) -> None:
        self.database = database
        self.stub = stub
        self.clock = SystemClock()
        self.ledger = GroupCommitLedger(database)
        prices = Prices(is_batch=True)
        common: dict[str, Any] = {"timeout": 30.0, "prices": prices, "clock": self.clock}
        self.vendors: dict[str, ClaudeBatches | OpenAIBatches] = {
            "claude": ClaudeBatches("stub", base_url=stub.claude_url, **common),
            "openai": OpenAIBatches("stub", base_url=stub.openai_url, **common),
        }
        self.budgets = Budgets(database=database, prices=prices, clock=self.clock)
        self._owners = count(1)

    def process(
        self,
        fate: Fate | None = None,
        *,
        most_lines: int = 1000,
        vendor_type: "type[MortalVendor] | None" = None,
    ) -> ProviderBatching:
        fate = fate or Fate()
        ledger: Any = MortalLedger(self.ledger, fate)
        reads = Reads(ledger, self.clock)
        defaults = Defaults(
            provider="openai", models=MODELS, fixed=frozenset(), max_output_tokens=1024
        )
        shared: dict[str, Any] = {
            "database": self.database,
            "ledger": ledger,
            "defaults": defaults,
            "reads": reads,
            "clock": self.clock,
        }
        self.budgets.refresh()
        return ProviderBatching(
            database=self.database,
            ledger=ledger,
            liveness=KnownProcesses(),
            analyses=Analyses(**shared, is_scope_user=False),
            preferences=Preferences(**shared),
            budgets=self.budgets,
            vendors={
                name: (vendor_type or MortalVendor)(vendor, fate, most_lines=most_lines)
                for name, vendor in self.vendors.items()
            },
            clock=self.clock,
            caller=Caller(),
            owner=f"dead{next(self._owners)}",
            cache_ttl=DAY,
            arrival=timedelta(0),
            new_token=lambda: f"token{next(_TOKENS)}",
        )

    def sent(self) -> list[str]:
        """Return all questions that vendors were sent."""
        requests = [one for batch in self.stub.batches() for one in batch]
        asked = [one.get("params") or one["body"] for one in requests]
        return [str(one.get("input") or one["messages"][-1]["content"]) for one in asked]

    def outcomes(self) -> list[str]:
        columns = select(AttemptRow.outcome).order_by(AttemptRow.id)
        with self.database.reading() as tx:
            return list(tx.connection.execute(columns).scalars())

    def history(self, user: str = "ann") -> list[tuple[str, bool]]:
        with self.database.reading() as tx:
            rows = tx.analyses.newest(Caller(), user, HistoryFilter(limit=100)).items
        return [(row.text, row.cached) for row in rows]

    def close(self) -> None:
        for vendor in self.vendors.values():
            vendor.close()
        self.ledger.close()


@pytest.fixture
def home(database: SqlDatabase, stub: StubProvider) -> Iterator[Home]:
    home = Home(database, stub)
    yield home
    home.close()


def wanted(
    process: ProviderBatching, texts: list[str], *, user: str = "ann", **more: Any
) -> list[Wanted]:
    return [
        Wanted(
            number=number,
            digest=f"digest {number}",
            request=process.request(user, Draft(text=words, **more), is_refresh=False),
        )
        for number, words in enumerate(texts, 1)
    ]


def once(process: ProviderBatching, run: str, texts: list[str], **more: Any) -> None:
    """Do what the command does each time."""
    process.find()
    process.add(run, wanted(process, texts, **more))
    process.send(run)
    process.collect()


def states(process: ProviderBatching, run: str, lines: int) -> list[LineState]:
    found = [process.known(run, number) for number in range(1, lines + 1)]
    return [line.state for line in found if line is not None]


@pytest.mark.parametrize("provider", ["claude", "openai"])
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_wherever_the_process_dies_each_question_is_sent_and_given_once(
    home: Home, provider: str, *, is_after: bool
) -> None:
    lived = False
    for steps in count():
        run = f"run{next(_RUNS)}"
        # The last one asks what the first one asks.
        texts = [f"{run} {number}?" for number in range(3)]
        texts.append(texts[0])
        fate = Fate(steps, is_after=is_after)
        try:
            mortal = home.process(fate, most_lines=2)
            once(mortal, run, texts, provider=provider)
            home.stub.finish_batches()
            mortal.collect()
            lived = True
        except KilledError:
            home.stub.finish_batches()
        heir = home.process()
        for _ in range(2):
            once(heir, run, texts, provider=provider)
            home.stub.finish_batches()
        heir.collect()

        assert states(heir, run, 4) == [LineState.ANSWERED] * 4, steps
        given = [one for one in home.history() if one[0].startswith(f"{run} ")]
        assert sorted(given) == sorted(
            [(texts[0], True), *((words, False) for words in texts[:3])]
        ), steps
        heir.forget(run)
        if lived:
            break
    # Fewer would mean that nobody was killed where it matters.
    assert steps > 5
    sent = home.sent()
    assert len(sent) == len(set(sent)) == 3 * (steps + 1)
    assert set(home.outcomes()) == {"answered"}
    with home.database.reading() as tx:
        left = [
            tx.connection.execute(select(func.count()).select_from(text(table))).scalar_one()
            for table in ("provider_batches", "provider_batch_lines")
        ]
    assert left == [0, 0]


def test_what_a_batch_may_cost_is_held_and_what_it_cost_is_half(home: Home) -> None:
    scope = Scope(tenant="default", kind=Kind.USER, name="ann", unit=Unit.USD, period=Period.DAY)
    with home.database.transaction() as tx:
        # A line holds 0.00029 dollars or so at the price of batches.
        tx.budgets.put(scope, 700_000_000, at=home.clock.now())
    process = home.process()
    with pytest.raises(BudgetExceededError):
        process.add("poor", wanted(process, [f"Poor {number}?" for number in range(9)]))
    process.send("poor")
    paid = len(home.sent())
    home.stub.finish_batches()
    process.collect()

    with home.database.reading() as tx:
        (standing,) = tx.budgets.standings(datetime.now(UTC))
        rows = tx.analyses.newest(Caller(), "ann", HistoryFilter()).items
    assert 0 < paid < 9
    assert standing.reserved == 0
    costs = [row.answer.cost or Decimal(0) for row in rows]
    assert standing.spent == sum(costs) * 10**12
    whole = Prices().cost(
        "openai",
        "gpt-6-luna",
        rows[0].answer.tokens_in,
        rows[0].answer.tokens_out,
        0,
        0,
        home.clock.now(),
    )
    assert whole is not None
    assert costs[0] == whole / 2


def test_what_cannot_be_used_is_told_by_line_and_makes_no_entry(home: Home) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    texts = ["Odd? [[text=no JSON]]", 'Fenced? [[text=```json {"a": 1} ```]]', "No? [[refusal]]"]
    process = home.process()
    once(process, "odd", texts, output_schema=schema)
    home.stub.finish_batches()
    process.collect()

    lines = [process.known("odd", number) for number in (1, 2, 3)]
    assert [line and line.failure for line in lines] == ["invalid-answer", None, None]
    assert home.outcomes() == ["invalid", "answered", "answered"]
    once(process, "odd again", texts, output_schema=schema)
    assert states(process, "odd again", 3) == [
        LineState.WAITING,
        LineState.ANSWERED,
        LineState.WAITING,
    ]


def test_a_question_that_was_deleted_meanwhile_is_given_and_makes_no_entry(home: Home) -> None:
    process = home.process()
    once(process, "first", ["Deleted?"])
    home.stub.finish_batches()
    process.collect()
    line = process.known("first", 1)
    assert line is not None
    with home.database.transaction() as tx:
        # An entry that has expired is asked for again; then its answer is deleted.
        tx.connection.execute(text("UPDATE flights SET expires_at = stored_at"))
    once(process, "second", ["Deleted?"])
    with home.database.transaction() as tx:
        assert tx.analyses.remove(Caller(), line.analysis_id or 0)
    home.stub.finish_batches()
    process.collect()

    assert states(process, "second", 1) == [LineState.ANSWERED]
    once(process, "third", ["Deleted?"])
    assert states(process, "third", 1) == [LineState.WAITING]


def test_an_erased_user_is_given_nothing_and_the_call_is_booked(home: Home) -> None:
    process = home.process()
    once(process, "erased", ["Whose?", "Also mine?"])
    process.add("other", wanted(process, ["Whose?"], user="bob"))
    with home.database.transaction() as tx:
        tx.erasures.begin("default", "ann", at=home.clock.now())
        receipt = tx.erasures.erase("default", "ann", at=home.clock.now())
    home.stub.finish_batches()
    process.collect()

    assert receipt.deleted["batch_lines"] == 2
    assert home.history() == home.history("bob") == []
    assert home.outcomes() == ["duplicate", "duplicate"]
    line = process.known("other", 1)
    assert line is not None
    assert line.failure == "deleted"
    with home.database.reading() as tx:
        held = tx.connection.execute(text("SELECT * FROM provider_batch_lines")).all()
    assert "mine" not in str(held)
    assert "ann" not in str(held)


def test_a_process_that_lives_or_a_batch_that_may_be_ours_is_waited_for(home: Home) -> None:
    mortal = home.process(Fate(2))
    with pytest.raises(KilledError):
        once(mortal, "claimed", ["Ours?"], provider="claude")
    # Somebody else's, with the same key, sent after ours: nobody can tell before it is over.
    home.vendors["claude"].send("foreign", [("foreign-1", wanted_question(mortal))])

    heir = home.process()
    (unsure,) = heir.find()
    assert "worked on" in unsure.reason
    heir.send("claimed")
    assert len(home.stub.batches()) == 1

    home.stub.finish_batches()
    assert heir.find() == []
    heir.send("claimed")
    assert len(home.stub.batches()) == 2


@pytest.mark.parametrize("provider", ["claude", "openai"])
def test_of_two_heirs_that_look_for_a_batch_at_once_one_sends_it(home: Home, provider: str) -> None:
    run = f"run{next(_RUNS)}"
    mortal = home.process(Fate(2))
    with pytest.raises(KilledError):
        once(mortal, run, ["Whose heir?"], provider=provider)
    other = home.process()

    class Overtaken(MortalVendor):
        """Has the other heir find, send and die between the vendor's word and what follows."""

        def find(self, *asked: Any, **facts: Any) -> str | None:
            found: str | None = self._vendor.find(*asked, **facts)
            other.find()
            other.send(run)
            return found

    slow = home.process(vendor_type=Overtaken)
    slow.find()
    slow.send(run)
    home.stub.finish_batches()
    slow.collect()

    assert home.sent() == ["Whose heir?"]
    assert states(slow, run, 1) == [LineState.ANSWERED]


def test_what_a_vendor_says_of_one_batch_reaches_no_line_of_another(home: Home) -> None:
    class Lying(MortalVendor):
        """Gives each answer to the line that was written down next, and to one far beyond."""

        def results(self, remote_id: str) -> Iterator[BatchResult]:
            for one in self._vendor.results(remote_id):
                token, _, line_id = one.name.rpartition("-")
                yield BatchResult(f"{token}-{int(line_id) + 1}", one.read)
                yield BatchResult(f"{token}-{10**30}", one.read)

    process = home.process(vendor_type=Lying)
    once(process, "mine", ["Mine?"])
    once(process, "yours", ["Yours?"])
    home.stub.finish_batches()
    process.collect()

    lines = [process.known(run, 1) for run in ("mine", "yours")]
    assert [line and line.failure for line in lines] == ["missing", "missing"]
    assert home.history() == []


def wanted_question(process: ProviderBatching) -> Any:
    return process.request(
        "bob", Draft(text="Theirs?", provider="claude"), is_refresh=False
    ).question
