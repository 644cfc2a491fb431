"""POST /analyze: asked once within a day, and what Cache-Control makes of it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from fastapi.testclient import TestClient
from freezegun import freeze_time
from httpx2 import Response
from sqlalchemy import select

from askonce.core.answers import FinishReason
from askonce.core.errors import (
    InputTooLongError,
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.db.rows import AnswerRow, AttemptRow
from askonce.main.process import Process
from tests.examples import an_answer as answer
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service


def ask(client: TestClient, text: str = "hello", user: str = "ann", **body: Any) -> Response:
    return client.post(f"/analyze/{user}", json={"text": text, **body})


def told(client: TestClient, cache_control: str, text: str = "hello") -> Response:
    headers = {"Cache-Control": cache_control}
    return client.post("/analyze/ann", json={"text": text}, headers=headers)


def attempts(process: Process) -> list[tuple[str, str | None, int | None]]:
    with process.database.reading() as tx:
        rows = tx.connection.execute(
            select(AttemptRow.outcome, AttemptRow.reason, AttemptRow.tokens_out).order_by(
                AttemptRow.id
            )
        )
        return [(row.outcome, row.reason, row.tokens_out) for row in rows]


def test_asks_once_within_a_day_and_again_after(client: TestClient, provider: FakeProvider) -> None:
    with freeze_time("2026-11-21 10:00:00", real_asyncio=True) as clock:
        first = ask(client, user="ann").json()
        clock.tick(timedelta(hours=23, minutes=59, seconds=59))
        second = ask(client, user="bob").json()
        clock.tick(timedelta(seconds=1))
        third = ask(client, user="ann").json()

    assert [first["cached"], second["cached"], third["cached"]] == [False, True, False]
    assert first["result"] == second["result"] != third["result"]
    assert len(provider.calls) == 2


def test_answers_as_the_contract_says(client: TestClient, provider: FakeProvider) -> None:
    provider.will(answer(text="Angry."))

    with freeze_time("2026-11-21 19:07:13.123456", real_asyncio=True):
        response = ask(client, user="alice")

    assert response.status_code == 200
    assert response.json() == {
        "id": 1,
        "user_id": "alice",
        "result": "Angry.",
        "data": None,
        "provider": "claude",
        "model": "claude-haiku-5-5",
        "finish_reason": "stop",
        "cached": False,
        "tokens_in": 120,
        "tokens_out": 23,
        "tokens_used": 143,
        "cost_usd": "0.000213",
        "created_at": "2026-11-21T19:07:13.123456Z",
    }
    assert response.headers["Cache-Status"] == "askonce; fwd=uri-miss; stored"
    assert response.headers["Cache-Control"] == "private, no-store"
    assert "Age" not in response.headers


def test_a_hit_says_how_old_it_is_and_how_long_it_lasts(client: TestClient) -> None:
    with freeze_time("2026-11-21 10:00:00", real_asyncio=True) as clock:
        ask(client)
        clock.tick(timedelta(seconds=187))
        hit = ask(client)

    assert hit.headers["Cache-Status"] == "askonce; hit; ttl=86213"
    assert hit.headers["Age"] == "187"


@pytest.mark.parametrize("directive", ["no-cache", "max-age=0", 'No-Cache, foo="bar"'])
def test_no_cache_asks_anew_and_replaces_the_entry(
    client: TestClient, provider: FakeProvider, directive: str
) -> None:
    old = ask(client).json()

    fresh = told(client, directive)
    after = ask(client).json()

    assert fresh.json()["cached"] is False
    assert fresh.json()["result"] != old["result"]
    assert after["result"] == fresh.json()["result"]
    assert len(provider.calls) == 2


def test_no_store_neither_reads_nor_writes_the_cache(
    client: TestClient, provider: FakeProvider
) -> None:
    apart = told(client, "no-store")
    stored = ask(client)
    again = told(client, "no-store")
    hit = ask(client)

    assert [apart.headers["Cache-Status"], again.headers["Cache-Status"]] == (
        ["askonce; fwd=request"] * 2
    )
    assert hit.json()["result"] == stored.json()["result"] != again.json()["result"]
    assert len(provider.calls) == 3
    assert len(client.get("/history/ann").json()["items"]) == 4


def test_max_age_refuses_what_is_older(client: TestClient) -> None:
    with freeze_time("2026-11-21 10:00:00", real_asyncio=True) as clock:
        ask(client)
        clock.tick(timedelta(seconds=60))
        young_enough = told(client, "max-age=61")
        too_old = told(client, "max-age=60")

    assert [young_enough.json()["cached"], too_old.json()["cached"]] == [True, False]


def test_only_if_cached_never_calls_a_provider(client: TestClient, provider: FakeProvider) -> None:
    missing = told(client, "only-if-cached")
    ask(client)
    found = told(client, "only-if-cached")

    assert (missing.status_code, missing.json()["type"]) == (504, "not-cached")
    assert found.json()["cached"] is True
    assert len(provider.calls) == 1


def test_only_if_cached_outranks_no_store(client: TestClient, provider: FakeProvider) -> None:
    refused = told(client, "no-store, only-if-cached")

    assert (refused.status_code, refused.json()["type"]) == (504, "not-cached")
    assert provider.calls == []


def test_a_cache_control_that_cannot_be_read_is_refused(client: TestClient) -> None:
    refused = told(client, "max-age=soon")

    assert (refused.status_code, refused.json()["type"]) == (400, "malformed-request")


def test_two_hundred_at_once_make_one_call(client: TestClient, provider: FakeProvider) -> None:
    provider.hold()
    with ThreadPoolExecutor(200) as users:
        futures = [users.submit(ask, client, user=f"user{number}") for number in range(200)]
        provider.wait_for_calls(1)
        provider.let_go()
        responses = [future.result() for future in futures]

    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["result"] for response in responses}) == 1
    assert sum(not response.json()["cached"] for response in responses) == 1
    assert len(provider.calls) == 1


def test_no_store_does_not_join_a_call_in_flight(
    client: TestClient, provider: FakeProvider
) -> None:
    provider.hold()
    with ThreadPoolExecutor(2) as users:
        first = users.submit(ask, client)
        provider.wait_for_calls(1)
        apart = users.submit(told, client, "no-store")
        provider.wait_for_calls(2)
        provider.let_go()

    assert first.result().json()["result"] != apart.result().json()["result"]


def test_no_connection_is_held_while_the_model_thinks(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(heartbeat=3600, lease=7200)
    provider.hold()
    with ThreadPoolExecutor(20) as users:
        futures = [users.submit(ask, service.client, f"text {n}") for n in range(20)]
        provider.wait_for_calls(20)
        in_use = service.process.database.connections_in_use()
        provider.let_go()
        statuses = {future.result().status_code for future in futures}

    assert in_use == 0
    assert statuses == {200}


@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.REFUSAL])
def test_what_was_cut_or_refused_is_kept_in_the_history_but_not_served_again(
    client: TestClient, provider: FakeProvider, reason: FinishReason
) -> None:
    provider.will(answer(finish_reason=reason), answer(text="a whole answer"))

    first = ask(client)
    second = ask(client)

    assert first.status_code == 200
    assert first.json()["finish_reason"] == reason.value
    assert first.headers["Cache-Status"] == "askonce; fwd=uri-miss"
    assert second.json()["result"] == "a whole answer"
    assert len(client.get("/history/ann").json()["items"]) == 2


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (
            ProviderUnavailableError("claude", "timeout", may_be_paid=True),
            504,
            "provider-exhausted",
        ),
        (ProviderUnavailableError("claude", "http-503"), 504, "provider-exhausted"),
        (ProviderRejectedError("claude", "http-401"), 502, "provider-rejected"),
        (InputTooLongError("claude", "input-too-long"), 422, "input-too-long"),
    ],
)
def test_a_failure_is_reported_and_never_cached(
    client: TestClient,
    process: Process,
    provider: FakeProvider,
    *,
    error: ProviderError,
    status: int,
    kind: str,
) -> None:
    provider.will(error)

    failed = ask(client)
    after = ask(client)

    assert (failed.status_code, failed.json()["type"]) == (status, kind)
    assert after.json()["cached"] is False
    assert [outcome for outcome, _, _ in attempts(process)][1:] == ["answered"]
    assert len(client.get("/history/ann").json()["items"]) == 1


def test_exhaustion_tells_the_vendors_clients_not_to_retry(
    client: TestClient, provider: FakeProvider
) -> None:
    provider.will(ProviderUnavailableError("claude", "http-429", retry_after=41.2))

    failed = ask(client)

    assert failed.headers["x-should-retry"] == "false"
    assert failed.headers["Retry-After"] == "42"


def test_a_failure_reaches_all_who_waited(client: TestClient, provider: FakeProvider) -> None:
    provider.hold()
    provider.will(ProviderRejectedError("claude", "http-403"))
    with ThreadPoolExecutor(10) as users:
        futures = [users.submit(ask, client, user=f"user{number}") for number in range(10)]
        provider.wait_for_calls(1)
        provider.let_go()
        statuses = [future.result().status_code for future in futures]

    assert 502 in statuses
    assert set(statuses) <= {502, 200}


SCHEMA = {
    "type": "object",
    "properties": {"mood": {"enum": ["happy", "angry"]}},
    "required": ["mood"],
    "additionalProperties": False,
}


def test_an_answer_that_fits_its_schema_comes_parsed_and_verbatim(
    client: TestClient, provider: FakeProvider
) -> None:
    provider.will('{ "mood":"angry" }')

    first = ask(client, output_schema=SCHEMA).json()
    hit = ask(client, output_schema=SCHEMA).json()
    shown = client.get(f"/history/ann/{first['id']}").json()

    assert first["result"] == hit["result"] == shown["result"] == '{ "mood":"angry" }'
    assert first["data"] == hit["data"] == shown["data"] == {"mood": "angry"}
    assert hit["cached"] is True


@pytest.mark.parametrize(
    "said",
    [
        answer(text='{"mood":"sad"}'),
        answer(text="not JSON at all, ever"),
        answer(text='{"mood":"happy"}', finish_reason=FinishReason.LENGTH),
    ],
)
def test_an_answer_that_does_not_fit_was_paid_for_and_is_not_given(
    client: TestClient, process: Process, provider: FakeProvider, said: Any
) -> None:
    provider.will(said, said, said)

    refused = ask(client, output_schema=SCHEMA)

    assert (refused.status_code, refused.json()["type"]) == (502, "invalid-answer")
    assert said.text not in refused.text
    assert attempts(process)[0] == ("invalid", None, 23)
    assert client.get("/history/ann").json()["items"] == []


def test_the_same_text_with_a_schema_is_another_question(
    client: TestClient, provider: FakeProvider
) -> None:
    provider.will("plain", '{"mood":"angry"}')

    ask(client)
    structured = ask(client, output_schema=SCHEMA).json()

    assert structured["cached"] is False


def test_provider_and_model_are_chosen_by_the_request(
    client: TestClient, provider: FakeProvider
) -> None:
    other = ask(client, provider="openai").json()
    model = ask(client, model="claude-sonnet-5-5").json()
    named = ask(client, provider="claude", model="claude-haiku-5-5").json()
    unnamed = ask(client).json()

    assert (other["provider"], other["model"]) == ("openai", "gpt-6-luna")
    assert (model["provider"], model["model"]) == ("claude", "claude-sonnet-5-5")
    assert (named["cached"], unnamed["cached"]) == (False, True)
    assert len(provider.calls) == 2


def test_a_provider_that_is_not_configured_is_named(client: TestClient) -> None:
    refused = ask(client, provider="bard")

    assert (refused.status_code, refused.json()["type"]) == (422, "unknown-provider")
    assert refused.json()["errors"][0]["field"] == "provider"


def test_the_embedded_provider_has_one_model(client: TestClient) -> None:
    refused = ask(client, provider="local", model="gpt-6-luna")

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "model"


def test_users_can_be_kept_apart(start: Callable[..., Service], provider: FakeProvider) -> None:
    client = start(cache_scope="user").client

    answers = [ask(client, user=user).json()["cached"] for user in ("ann", "bob", "ann")]

    assert answers == [False, False, True]
    assert len(provider.calls) == 2


def test_an_answer_that_was_deleted_is_asked_for_again(
    client: TestClient, process: Process, provider: FakeProvider
) -> None:
    first = ask(client).json()
    client.delete(f"/history/{first['id']}")

    second = ask(client).json()

    assert second["cached"] is False
    assert len(provider.calls) == 2
    with process.database.reading() as tx:
        assert len(tx.connection.execute(select(AnswerRow.id)).all()) == 1


def test_deletion_during_a_call_wins_over_it(client: TestClient, provider: FakeProvider) -> None:
    first = ask(client).json()
    provider.hold()
    with ThreadPoolExecutor(1) as users:
        refresh = users.submit(told, client, "no-cache")
        provider.wait_for_calls(2)
        client.delete(f"/history/{first['id']}")
        provider.let_go()

    assert refresh.result().status_code == 200
    assert refresh.result().headers["Cache-Status"] == "askonce; fwd=request"
    assert ask(client).json()["cached"] is False


def test_more_than_slots_and_queue_hold_is_refused_at_once(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(max_calls=1, max_queue=1).client
    provider.hold()
    with ThreadPoolExecutor(5) as users:
        futures = [users.submit(ask, client, f"text {number}") for number in range(5)]
        refused = [future.result() for future in islice(as_completed(futures), 3)]
        provider.let_go()
        statuses = [future.result().status_code for future in futures]

    assert {response.json()["type"] for response in refused} == {"overloaded"}
    assert {response.headers["Retry-After"] for response in refused} == {"1"}
    assert sorted(statuses) == [200, 200, 503, 503, 503]


def test_hits_and_health_are_answered_while_every_slot_is_taken(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(max_calls=1).client
    ask(client, "known")
    provider.hold()
    with ThreadPoolExecutor(1) as users:
        slow = users.submit(ask, client, "slow")
        provider.wait_for_calls(2)
        hit = ask(client, "known")
        health = client.get("/health")
        provider.let_go()

    assert hit.json()["cached"] is True
    assert health.status_code == 200
    assert slow.result().status_code == 200
