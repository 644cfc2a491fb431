"""Idempotency-Key: the first outcome of a request is its only one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from freezegun import freeze_time
from httpx2 import Response
from sqlalchemy import select

from askonce.core.errors import ProviderUnavailableError
from askonce.db.rows import IdempotencyRow
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service
from tests.serving import until


def ask(
    client: TestClient,
    key: str = "one",
    text: str = "hello",
    user: str = "ann",
    **headers: str,
) -> Response:
    sent = {"Idempotency-Key": key} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return client.post(f"/analyze/{user}", json={"text": text}, headers=sent)


def history(client: TestClient, user: str = "ann") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = client.get(f"/history/{user}?limit=100").json()["items"]
    return items


@pytest.mark.parametrize("cache_control", ["", "no-store", "no-cache"])
def test_a_repeat_is_answered_byte_for_byte_and_costs_nothing(
    client: TestClient, provider: FakeProvider, cache_control: str
) -> None:
    first = ask(client, cache_control=cache_control)
    repeat = ask(client, cache_control=cache_control)

    assert repeat.content == first.content
    assert "Idempotent-Replayed" not in first.headers
    assert repeat.headers["Idempotent-Replayed"] == "true"
    assert len(provider.calls) == 1
    assert len(history(client)) == 1


def test_a_hit_has_its_own_row_and_its_repeat_none(client: TestClient) -> None:
    ask(client, "one")
    hit = ask(client, "two")
    repeat = ask(client, "two")

    assert hit.json()["cached"] is True
    assert repeat.content == hit.content
    assert len(history(client)) == 2


@pytest.mark.parametrize("change", [{"text": "other"}, {"user": "bob"}])
def test_a_key_belongs_to_one_request(
    client: TestClient, provider: FakeProvider, change: dict[str, str]
) -> None:
    ask(client)

    other = ask(client, **change)

    assert (other.status_code, other.json()["type"]) == (422, "idempotency-mismatch")
    assert len(provider.calls) == 1


def test_a_key_that_is_being_used_belongs_to_its_request_already(
    client: TestClient, provider: FakeProvider
) -> None:
    provider.hold()
    with ThreadPoolExecutor(1) as users:
        first = users.submit(ask, client)
        provider.wait_for_calls(1)
        other = ask(client, text="other")
        provider.let_go()

    assert other.status_code == 422
    assert first.result().status_code == 200


def test_the_spelling_of_the_body_does_not_count(client: TestClient) -> None:
    sent = {"Idempotency-Key": "one", "Content-Type": "application/json"}
    first = client.post(
        "/analyze/ann", content=b'{"text": "a", "max_output_tokens": 5}', headers=sent
    )
    repeat = client.post(
        "/analyze/ann", content=b'{ "max_output_tokens":5,"text":"\\u0061" }', headers=sent
    )

    assert repeat.content == first.content


@pytest.mark.parametrize("cache_control", ["", "no-store"])
def test_a_repeat_waits_for_the_first(
    client: TestClient, provider: FakeProvider, cache_control: str
) -> None:
    provider.hold()
    with ThreadPoolExecutor(20) as users:
        futures = [users.submit(ask, client, cache_control=cache_control) for _ in range(20)]
        provider.wait_for_calls(1)
        provider.let_go()
        bodies = {future.result().content for future in futures}

    assert len(bodies) == 1
    assert len(provider.calls) == 1
    assert len(history(client)) == 1


def test_a_transient_failure_is_not_kept(client: TestClient, provider: FakeProvider) -> None:
    provider.will(ProviderUnavailableError("claude", "http-503"))

    failed = ask(client)
    again = ask(client)

    assert (failed.status_code, again.status_code) == (504, 200)
    assert "Idempotent-Replayed" not in again.headers


def test_a_replay_of_what_was_deleted_says_so(client: TestClient, provider: FakeProvider) -> None:
    first = ask(client).json()
    client.delete(f"/history/{first['id']}")

    replay = ask(client)

    assert (replay.status_code, replay.json()["type"]) == (410, "deleted")
    assert len(provider.calls) == 1


def test_a_key_is_kept_for_a_day(client: TestClient, provider: FakeProvider) -> None:
    with freeze_time("2026-11-21 10:00:00", real_asyncio=True) as clock:
        first = ask(client)
        clock.tick(timedelta(hours=24) - timedelta(microseconds=1))
        replay = ask(client)
        clock.tick(timedelta(microseconds=1))
        anew = ask(client, text="other")

    assert replay.content == first.content
    assert anew.status_code == 200
    assert len(provider.calls) == 2


@pytest.mark.parametrize("key", ["", "a" * 256, "ä", "\t"])
def test_a_key_has_its_own_spelling(client: TestClient, key: str) -> None:
    refused = client.post(
        "/analyze/ann", json={"text": "a"}, headers={b"Idempotency-Key": key.encode()}
    )

    assert (refused.status_code, refused.json()["type"]) == (400, "malformed-request")


@pytest.mark.parametrize("key", ["a", "a" * 255, "~ !\"#$%&'()*+,-./:;<=>?@[]^_`{|}"])
def test_a_key_may_be_any_printable_ascii(client: TestClient, key: str) -> None:
    assert ask(client, key).content == ask(client, key).content


def test_a_replay_can_be_streamed(client: TestClient) -> None:
    first = ask(client)

    replay = ask(client, accept="text/event-stream")

    assert replay.headers["Idempotent-Replayed"] == "true"
    assert f"event: done\ndata: {first.text}\n\n" in replay.text


def test_a_key_outlives_the_process(start: Callable[..., Service], provider: FakeProvider) -> None:
    first = ask(start().client)

    repeat = ask(start().client)

    assert repeat.content == first.content
    assert len(provider.calls) == 1


def test_a_claim_that_comes_late_finds_what_its_key_was_answered_with(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    busy, quick = start(max_calls=1), start()
    busy.openai.hold()
    with ThreadPoolExecutor(2) as users:
        users.submit(busy.client.post, "/analyze/ann", json={"text": "x", "provider": "openai"})
        busy.openai.wait_for_calls(1)
        late = users.submit(ask, busy.client, cache_control="no-cache")
        until(lambda: keys(busy) > 0)
        first = ask(quick.client, cache_control="no-cache")
        busy.openai.let_go()

    assert late.result().content == first.content
    assert late.result().headers["Idempotent-Replayed"] == "true"
    assert len(provider.calls) == 1


def keys(service: Service) -> int:
    with service.process.database.reading() as tx:
        return len(tx.connection.execute(select(IdempotencyRow.scope)).all())
