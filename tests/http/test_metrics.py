"""GET /metrics, on the running application."""

import re
from collections import Counter
from collections.abc import Callable

from fastapi.testclient import TestClient

from askonce.core.errors import ProviderUnavailableError
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service
from tests.serving import until

QUESTION = {"text": "How many angels dance on a pin?"}


def numbers(client: TestClient, name: str) -> dict[str, float]:
    """Return the lines of a metric: its labels, and what is counted."""
    text = client.get("/metrics").text
    found = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_each_way_to_an_answer_is_counted_with_what_it_cost_or_saved(
    client: TestClient, provider: FakeProvider
) -> None:
    key = {"Idempotency-Key": "once"}
    client.post("/analyze/alice", json=QUESTION)
    client.post("/analyze/bob", json=QUESTION)
    client.post("/analyze/bob", json=QUESTION, headers={"Cache-Control": "no-cache"})
    client.post("/analyze/bob", json=QUESTION, headers={"Cache-Control": "no-store"})
    client.post("/analyze/bob", json={"text": "Again?"}, headers=key)
    client.post("/analyze/bob", json={"text": "Again?"}, headers=key)
    for _ in range(2):
        client.post("/analyze/bob", json=QUESTION, headers={"Accept": "text/event-stream"})

    ways = {'way="miss"': 2, 'way="hit"': 3, 'way="bypass"': 2, 'way="replay"': 1}
    until(lambda: numbers(client, "askonce_answers_total") == ways)
    model = 'model="claude-haiku-5-5"'
    saved = numbers(client, "askonce_cost_saved_dollars_total")
    assert list(saved) == [f'{model},provider="claude"']
    assert round(saved[f'{model},provider="claude"'], 6) == 3 * 0.000123
    spent = numbers(client, "askonce_cost_dollars_total")
    assert round(spent[f'{model},provider="claude"'], 6) == 4 * 0.000123
    assert numbers(client, "askonce_provider_calls_total") == {
        f'{model},outcome="answered",provider="claude"': 4
    }
    assert len(provider.calls) == 4


def test_those_who_join_a_call_are_counted_and_the_flight_while_it_lasts(
    client: TestClient, provider: FakeProvider, service: Service
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    provider.hold()
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(client.post, f"/analyze/u{n}", json=QUESTION) for n in range(3)]
        provider.wait_for_calls(1)
        until(lambda: service.process.door._inside == 3)  # noqa: SLF001 - all of them wait
        in_the_air = numbers(client, "askonce_flights_in_the_air")
        provider.let_go()
        for one in asked:
            one.result(60)

    assert in_the_air == {"": 1}
    ways = numbers(client, "askonce_answers_total")
    assert Counter(ways) == Counter({'way="miss"': 1, 'way="collapsed"': 2})
    assert numbers(client, "askonce_flights_in_the_air") == {"": 0}


def test_tries_and_how_they_ended_are_counted(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(max_tries=2).client
    provider.will(ProviderUnavailableError("claude", "http-529", retry_after=0), "Seven.")

    client.post("/analyze/alice", json=QUESTION)

    calls = numbers(client, "askonce_provider_calls_total")
    assert sorted(calls.values()) == [1, 1]
    assert {re.search('outcome="(.*?)"', labels)[1] for labels in calls} == {"http-529", "answered"}  # type: ignore[index]
    assert numbers(client, "askonce_provider_calls_per_question_sum") == {"": 2}
    assert numbers(client, "askonce_provider_call_seconds_count") == {'provider="claude"': 2}


def test_no_user_no_text_and_no_path_becomes_a_name(client: TestClient) -> None:
    client.post("/analyze/somebody-special", json=QUESTION)
    client.get("/history/somebody-special")
    client.get("/somewhere/else")
    client.get("/history/somebody-special/12345")
    response = client.get("/metrics")

    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "somebody" not in response.text
    assert "angels" not in response.text
    assert "12345" not in response.text
    assert "else" not in response.text
    requests = numbers(client, "askonce_requests_total")
    assert requests['method="POST",route="/analyze/{user_id}",status="200"'] == 1
    assert requests['method="GET",route="/history/{user_id}",status="200"'] == 1
    assert requests['method="GET",route="other",status="404"'] == 1


def test_what_goes_up_and_down_is_shown(client: TestClient) -> None:
    assert numbers(client, "askonce_call_slots") == {"": 128}
    assert numbers(client, "askonce_database_connections") == {"": 20}
    assert numbers(client, "askonce_workers") == {"": 1}
    assert set(numbers(client, "askonce_circuits_open")) == {
        f'provider="{name}"' for name in ("claude", "openai", "local")
    }
