"""Erasing a user over HTTP: everything goes, and nothing that was under way brings it back."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from askonce.core.errors import ProviderUnavailableError
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service
from tests.http.test_sessions import begin
from tests.http.test_turns import say
from tests.serving import until

NOTHING = {
    "analyses": 0,
    "answers": 0,
    "sessions": 0,
    "messages": 0,
    "preferences": 0,
    "idempotency_keys": 0,
    "usage_days": 0,
    "sign_ins": 0,
    "batch_lines": 0,
    "spooled_answers": 0,
}
SAID = "Zwiebelmaier has a cough"


def ask(client: TestClient, user: str = "ann", words: str = SAID, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/analyze/{user}", json={"text": words}, headers=named)


def erase(client: TestClient, user: str = "ann") -> Any:
    response = client.delete(f"/users/{user}")
    assert response.status_code == 200, response.text
    return response.json()


def history(client: TestClient, user: str = "ann") -> list[Any]:
    items: list[Any] = client.get(f"/history/{user}").json()["items"]
    return items


def wait_until_aboard(service: Service, requests: int) -> None:
    """Wait until so many requests are being answered, and have looked into the cache."""
    until(lambda: service.process.door.inside() == requests)
    # What comes behind them through the ledger and the event loop is answered after their look.
    service.client.put("/users/somebody/preferences", json={"instructions": "Be brief."})


def rows(service: Service, user: str = "ann") -> dict[str, int]:
    """Return how many rows name a user, of all tables that can."""
    with service.process.database.reading() as tx:
        return {
            table: tx.connection.execute(
                text(f"SELECT count(*) FROM {table} WHERE user_id = :user"),  # noqa: S608
                {"user": user},
            ).scalar_one()
            for table in ("analyses", "sessions", "attempts", "idempotency_keys", "preferences")
        }


def test_everything_about_a_user_goes_and_the_receipt_counts_it(service: Service) -> None:
    client = service.client
    ask(client, words="asked by both")
    ask(client, "bob", "asked by both")
    ask(client, Idempotency_Key="one")
    session = begin(client, prompt="Who was it?")
    say(client, session["id"], "Who was it?")
    client.put("/users/ann/preferences", json={"instructions": "Answer in French."})

    receipt = erase(client)

    assert receipt["user_id"] == "ann"
    assert receipt["deleted"] == {
        "analyses": 2,
        "answers": 2,
        "sessions": 1,
        "messages": 2,
        "preferences": 1,
        "idempotency_keys": 1,
        "usage_days": 1,
        "sign_ins": 0,
        "batch_lines": 0,
        "spooled_answers": 0,
    }
    assert receipt["anonymised"] == {"calls": 3}
    assert set(rows(service).values()) == {0}
    assert client.get(f"/sessions/{session['id']}").status_code == 404
    assert client.get("/users/ann/preferences").json()["instructions"] is None
    assert [one["text"] for one in history(client, "bob")] == ["asked by both"]
    assert ask(client, "bob", "asked by both").json()["cached"] is True
    assert ask(client, "bob").json()["cached"] is False


def test_what_was_spent_is_still_proved_without_saying_for_whom(service: Service) -> None:
    ask(service.client)
    erase(service.client)

    with service.process.database.reading() as tx:
        call = tx.connection.execute(text("SELECT * FROM attempts")).one()

    assert (call.user_id, call.answer_id, bytes(call.fingerprint)) == ("", None, bytes(32))
    assert (call.outcome, call.tokens_in > 0, call.tokens_out > 0) == ("answered", True, True)


def test_erasing_again_or_an_unknown_user_finds_nothing(client: TestClient) -> None:
    ask(client)
    erase(client)

    again, unknown = erase(client), erase(client, "nobody")

    assert again["deleted"] == unknown["deleted"] == NOTHING
    assert again["anonymised"] == unknown["anonymised"] == {"calls": 0}


def test_an_erased_user_may_come_back(client: TestClient) -> None:
    ask(client, Idempotency_Key="one")
    erase(client)

    back = ask(client, words="something else", Idempotency_Key="one")

    assert back.status_code == 200
    assert [one["text"] for one in history(client)] == ["something else"]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Cache_Control": "no-store"},
        {"Cache_Control": "no-cache"},
        {"Idempotency_Key": "one"},
        {"Idempotency_Key": "one", "Cache_Control": "no-store"},
        {"Accept": "text/event-stream"},
    ],
    ids=["plain", "no-store", "no-cache", "key", "key and no-store", "stream"],
)
def test_a_call_in_flight_brings_nothing_back(
    start: Callable[..., Service], provider: FakeProvider, headers: dict[str, str]
) -> None:
    one, other = start(), start()
    provider.hold()
    with ThreadPoolExecutor(1) as users:
        asked = users.submit(ask, one.client, **headers)
        provider.wait_for_calls(1)
        # On another replica: only the database tells the first one.
        erase(other.client)
        provider.let_go()
        response = asked.result()

    if "Accept" in headers:
        assert "event: error" in response.text
        assert '"status": 410' in response.text
    else:
        assert (response.status_code, response.json()["type"]) == (410, "deleted")
    assert set(rows(one).values()) == {0}
    with one.process.database.reading() as tx:
        assert tx.connection.execute(text("SELECT count(*) FROM answers")).scalar_one() == 0
    assert len(provider.calls) == 1


def test_a_turn_in_flight_brings_nothing_back(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    one, other = start(), start()
    session = begin(one.client)
    provider.hold()
    with ThreadPoolExecutor(1) as users:
        said = users.submit(say, one.client, session["id"], SAID)
        provider.wait_for_calls(1)
        erase(other.client)
        provider.let_go()
        response = said.result()

    assert response.status_code in (404, 410)
    assert set(rows(one).values()) == {0}
    with one.process.database.reading() as tx:
        for table in ("answers", "messages"):
            found = tx.connection.execute(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
            assert found.scalar_one() == 0


def test_no_further_try_is_made_for_an_erased_user(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(max_tries=3)
    provider.will(ProviderUnavailableError("claude", "http-503"))
    provider.hold()
    with ThreadPoolExecutor(1) as users:
        asked = users.submit(ask, service.client)
        provider.wait_for_calls(1)
        erase(service.client)
        provider.let_go()
        response = asked.result()

    assert response.status_code == 410
    assert len(provider.calls) == 1
    assert set(rows(service).values()) == {0}


def test_who_waited_for_an_erased_users_call_is_answered_all_the_same(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    here, elsewhere = start(heartbeat=0.05, lease=0.2), start(heartbeat=0.05, lease=0.2)
    provider.hold()
    with ThreadPoolExecutor(3) as users:
        asked = users.submit(ask, here.client)
        provider.wait_for_calls(1)
        beside = users.submit(ask, here.client, "bob")
        away = users.submit(ask, elsewhere.client, "carol")
        wait_until_aboard(here, 2)
        wait_until_aboard(elsewhere, 1)
        erase(here.client)
        provider.let_go()
        replies = [asked.result(), beside.result(), away.result()]

    assert [reply.status_code for reply in replies] == [410, 200, 200]
    assert history(here.client) == []
    assert [one["text"] for one in history(here.client, "bob")] == [SAID]
    assert [one["text"] for one in history(here.client, "carol")] == [SAID]
    # The erased user's call, and at most one for each who was waiting.
    assert 2 <= len(provider.calls) <= 3


def test_an_erased_user_who_waited_for_anothers_call_is_given_nothing(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    here, elsewhere = start(), start()
    # Who waits for these to be read is not aboard yet.
    here.client.get("/users/ann/preferences")
    provider.hold()
    with ThreadPoolExecutor(3) as users:
        asked = users.submit(ask, here.client, "bob")
        provider.wait_for_calls(1)
        beside = users.submit(ask, here.client)
        away = users.submit(ask, elsewhere.client, Idempotency_Key="one")
        wait_until_aboard(here, 2)
        # It has looked into the cache once its key has been noted.
        until(lambda: rows(here)["idempotency_keys"] == 1)
        erase(here.client)
        provider.let_go()
        replies = [asked.result(), beside.result(), away.result()]

    assert [reply.status_code for reply in replies] == [200, 410, 410]
    assert set(rows(here).values()) == {0}
    assert len(provider.calls) == 1
