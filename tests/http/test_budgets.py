"""No number of calls passes a budget, and whatever costs nothing is given all the same."""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient
from freezegun import freeze_time
from httpx2 import Response
from sqlalchemy import event

from askonce.core.access import Caller
from askonce.core.budgets import Kind, Period, Scope, Standing, Unit, picodollars
from askonce.core.caching import CacheRules
from askonce.core.clock import SystemClock
from askonce.core.errors import BudgetExceededError, ProviderUnavailableError
from askonce.core.landings import Boarded, Way
from askonce.services.analyses import Draft
from askonce.services.budgeting import Budgeting
from tests.examples import ALICE, an_answer
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service
from tests.serving import until

# What one call of `ask` holds: a token for each byte of its text and for each that may come, and
# 512 for what a provider puts around them.
TOKENS = 512 + 5 + 8
# A dollar a token in, ten a token out.
PRICES = {"priced": (Decimal(1_000_000), Decimal(10_000_000))}
DOLLARS = picodollars(Decimal(512 + 5 + 8 * 10))


def ask(client: TestClient, text: str = "hello", user: str = "ann", **more: Any) -> Response:
    body = {"text": text, "max_output_tokens": 8} | more
    return client.post(f"/analyze/{user}", json=body)


def allow(
    amount: int,
    *services: Service,
    unit: Unit = Unit.TOKENS,
    kind: Kind = Kind.TENANT,
    name: str = "",
    period: Period = Period.DAY,
) -> None:
    scope = Scope(tenant="default", kind=kind, name=name, unit=unit, period=period)
    Budgeting(services[0].process.database, SystemClock()).put(scope, amount)
    for service in services:
        service.process.budgets.refresh()


def standing(service: Service) -> Standing:
    """Return how the budget stands that was set last."""
    return Budgeting(service.process.database, SystemClock()).standings()[-1]


@pytest.fixture
def two(database_url: str, provider: FakeProvider) -> Iterator[tuple[Service, Service]]:
    """Give two replicas over one database, which ask one provider."""
    settings = {"prices": PRICES, "claude_model": "priced", "max_calls": 64}
    with ExitStack() as running:
        replicas = (
            Service(database_url, provider, **settings),
            Service(database_url, provider, **settings),
        )
        for replica in replicas:
            running.enter_context(replica.client)
        yield replicas
        provider.let_go()


@pytest.mark.parametrize(("unit", "each"), [(Unit.TOKENS, TOKENS), (Unit.USD, DOLLARS)])
def test_a_hundred_calls_at_once_make_ten_where_ten_are_allowed(
    two: tuple[Service, Service], provider: FakeProvider, unit: Unit, each: int
) -> None:
    # Each call is held against two budgets, and one of them has room for ten.
    allow(100 * each, *two, unit=unit, period=Period.MONTH)
    allow(10 * each + each - 1, *two, unit=unit)
    provider.hold()
    with ThreadPoolExecutor(100) as threads:
        asked: list[Future[Response]] = [
            threads.submit(ask, two[number % 2].client, f"q{number:04}", f"user{number}")
            for number in range(100)
        ]
        refused: set[Future[Response]] = set()
        waiting = set(asked)
        while len(refused) < 90:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            refused |= done
        held = standing(two[0])
        provider.wait_for_calls(10)
        provider.let_go()
        answered = [one.result() for one in waiting]

    assert {one.result().status_code for one in refused} == {402}
    assert [one.status_code for one in answered] == [200] * 10
    assert len(provider.calls) == 10
    assert (held.spent, held.reserved) == (0, 10 * each)
    after = standing(two[0])
    spent = sum(
        picodollars(Decimal(one.json()["cost_usd"]))
        if unit is Unit.USD
        else one.json()["tokens_used"]
        for one in answered
    )
    assert (after.spent, after.reserved, after.unknown) == (spent, 0, 0)


def test_over_budget_is_402_and_what_is_cached_is_given(
    service: Service, provider: FakeProvider
) -> None:
    first = ask(service.client)
    allow(0, service)

    refused = [ask(service.client, "other"), ask(service.client, "other")]
    hit = ask(service.client, user="bob")
    Budgeting(service.process.database, SystemClock()).remove(standing(service).budget.scope)
    service.process.budgets.refresh()
    allowed = ask(service.client, "other")

    assert (first.status_code, hit.status_code, hit.json()["cached"]) == (200, 200, True)
    assert [one.status_code for one in refused] == [402, 402]
    assert refused[0].json()["type"] == "budget-exceeded"
    assert "this tenant may spend in a day" in refused[0].json()["detail"]
    assert allowed.status_code == 200
    assert len(provider.calls) == 2


def test_streams_repeats_bypasses_and_turns_are_refused_too(
    service: Service, provider: FakeProvider
) -> None:
    allow(0, service)
    client = service.client
    client.post("/sessions", json={"title": "a"})
    url, body = "/analyze/ann", {"text": "hello"}

    streamed = client.post(url, json=body, headers={"Accept": "text/event-stream"})
    refused = [
        client.post(url, json=body, headers={"Idempotency-Key": "k"}),
        client.post(url, json=body, headers={"Idempotency-Key": "k"}),
        client.post(url, json=body, headers={"Cache-Control": "no-store"}),
        client.post("/sessions/1/messages", json={"role": "user", "content": "a"}),
    ]
    allow(10_000, service)
    answered = client.post("/sessions/1/messages", json={"role": "user", "content": "a"})

    assert '"type": "budget-exceeded"' in streamed.text
    assert [one.status_code for one in refused] == [402] * 4
    assert answered.status_code == 200
    assert len(provider.calls) == 1


def test_who_waits_for_somebody_elses_call_gets_it_for_nothing(
    service: Service, provider: FakeProvider
) -> None:
    allow(0, service, kind=Kind.USER, name="bob")
    provider.hold()
    with ThreadPoolExecutor(2) as threads:
        paid = threads.submit(ask, service.client, user="ann")
        provider.wait_for_calls(1)
        joined = threads.submit(ask, service.client, user="bob")
        refused = ask(service.client, "other", user="bob")
        provider.let_go()

    assert [paid.result().status_code, joined.result().status_code] == [200, 200]
    assert refused.status_code == 402
    assert len(provider.calls) == 1


def test_who_waits_for_somebody_who_may_not_ask_asks_for_himself(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(max_calls=1)
    allow(0, service, kind=Kind.USER, name="bob")
    parts = service.process.parts

    def board(user_id: str, text: str) -> Boarded:
        question = parts.analyses.question(Draft(text=text))
        request = parts.analyses.request(Caller(), user_id, question, rules=CacheRules())
        return parts.ask_once.board(request).result()

    provider.hold()
    slow = board("carl", "slow")
    provider.wait_for_calls(1)
    # Nothing is claimed yet, as the only slot is taken: all of them wait for what becomes of bob.
    bob, ann, bob_again = (board(user_id, "hello") for user_id in ("bob", "ann", "bob"))
    provider.let_go()

    assert (bob.way, ann.way, bob_again.way) == (Way.MISS, Way.COLLAPSED, Way.COLLAPSED)
    for refused in (bob, bob_again):
        with pytest.raises(BudgetExceededError):
            refused.asked.result()
    assert [slow.asked.result().way, ann.asked.result().way] == [Way.MISS, Way.MISS]
    assert len(provider.calls) == 2


def test_failed_calls_cost_nothing_and_those_that_may_be_paid_cost_all_that_was_held(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(max_tries=2)
    allow(10 * TOKENS, service)
    provider.will(
        ProviderUnavailableError("claude", "http-503"),
        an_answer(text="fine", tokens_in=5, tokens_out=1),
        ProviderUnavailableError("claude", "timeout", may_be_paid=True),
        an_answer(text="fine", tokens_in=5, tokens_out=1),
    )

    statuses = [ask(service.client, text).status_code for text in ("after", "maybe")]

    now = standing(service)
    assert statuses == [200, 200]
    assert (now.spent, now.reserved, now.unknown) == (12 + TOKENS, 0, TOKENS)


def test_a_try_that_could_pass_the_budget_is_not_made(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(max_tries=3)
    allow(TOKENS + TOKENS - 1, service)
    provider.will(ProviderUnavailableError("claude", "timeout", may_be_paid=True))

    failed = ask(service.client)

    assert (failed.status_code, failed.json()["type"]) == (504, "provider-exhausted")
    assert len(provider.calls) == 1


def test_a_fallback_that_costs_too_much_is_passed_over(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(
        prices={"cheap": (Decimal(1), Decimal(1)), **PRICES},
        claude_model="cheap",
        openai_model="priced",
        fallbacks=("openai", "local"),
    )
    allow(picodollars(Decimal(1)), service, unit=Unit.USD)
    provider.will(ProviderUnavailableError("claude", "http-503"))

    answered = ask(service.client)

    assert (answered.status_code, answered.json()["provider"]) == (200, "local")
    assert service.openai.calls == []


def test_an_answer_that_does_not_fit_is_paid_for_and_not_repaired_beyond_the_budget(
    service: Service, provider: FakeProvider
) -> None:
    allow(1000, service)
    provider.will(an_answer(text="no JSON", tokens_in=5, tokens_out=1))

    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    failed = ask(service.client, output_schema=schema)

    assert (failed.status_code, failed.json()["type"]) == (502, "invalid-answer")
    assert (standing(service).spent, standing(service).reserved) == (6, 0)
    assert len(provider.calls) == 1


def test_what_has_no_price_is_refused_where_dollars_are_counted(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(claude_model="unheard-of")
    allow(picodollars(Decimal(5)), service, unit=Unit.USD)

    refused = ask(service.client)
    free = ask(service.client, provider="local")

    assert (refused.status_code, refused.json()["type"]) == (402, "budget-exceeded")
    assert "ASKONCE_PRICES" in refused.json()["detail"]
    assert free.status_code == 200
    assert provider.calls == []


@pytest.mark.parametrize(
    ("period", "next_one", "told"),
    [
        (Period.DAY, "2026-11-23 00:00:00", "2026-11-23T00:00:00"),
        (Period.MONTH, "2026-12-01 00:00:00", "2026-12-01T00:00:00"),
    ],
)
def test_a_new_period_begins_with_the_whole_budget(
    service: Service, period: Period, next_one: str, told: str
) -> None:
    with freeze_time("2026-11-22 23:59:59") as clock:
        allow(TOKENS, service, period=period)
        first, refused = ask(service.client, "one__"), ask(service.client, "two__")
        spent = standing(service).spent
        clock.move_to(next_one)
        again = ask(service.client, "two__")

    assert [first.status_code, refused.status_code, again.status_code] == [200, 402, 200]
    assert spent == first.json()["tokens_used"]
    assert told in refused.json()["detail"]


def test_where_no_budget_is_set_a_miss_writes_nothing_for_any(
    service: Service, provider: FakeProvider
) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(service.process.database.engine, "before_cursor_execute", note)
    ask(service.client)

    assert len(provider.calls) == 1
    written = [one for one in statements if "budget" in one and "revisions" not in one]
    assert all("attempts" in one for one in written)


def test_a_budget_that_another_process_sets_counts_soon(two: tuple[Service, Service]) -> None:
    here, elsewhere = two
    allow(0, elsewhere)

    until(lambda: bool(here.process.budgets.of(ALICE)))
    assert ask(here.client).status_code == 402
