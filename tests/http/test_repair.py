"""An answer that does not fit its schema: mended, asked for once more, or refused."""

from collections.abc import Callable

from fastapi.testclient import TestClient
from httpx2 import Response
from sqlalchemy import select

from askonce.core.errors import ProviderUnavailableError
from askonce.db.rows import AttemptRow
from askonce.main.process import Process
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def ask(client: TestClient) -> Response:
    return client.post("/analyze/ann", json={"text": "How many?", "output_schema": SCHEMA})


def attempts(process: Process) -> list[tuple[str, int | None]]:
    with process.database.reading() as tx:
        rows = tx.connection.execute(
            select(AttemptRow.outcome, AttemptRow.tokens_out).order_by(AttemptRow.id)
        )
        return [(row.outcome, row.tokens_out) for row in rows]


def test_a_wrapped_answer_costs_no_second_call(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(max_tries=3).client
    provider.will('Sure!\n```json\n{"n": 5}\n```')

    mended = ask(client).json()

    assert (mended["data"], mended["result"]) == ({"n": 5}, '{"n": 5}')
    assert len(provider.calls) == 1


def test_an_answer_that_does_not_fit_is_asked_for_once_more(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(max_tries=3)
    provider.will("five", '{"n": 5}')

    asked = ask(service.client)
    hit = ask(service.client).json()

    assert asked.json()["data"] == hit["data"] == {"n": 5}
    assert asked.headers["Cache-Status"] == "askonce; fwd=uri-miss; stored"
    assert "It is not JSON." in provider.calls[1].text
    recorded = attempts(service.process)
    assert [outcome for outcome, _ in recorded] == ["invalid", "answered"]
    assert asked.json()["tokens_out"] == sum(tokens or 0 for _, tokens in recorded)


def test_after_two_answers_that_do_not_fit_there_is_no_third(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(max_tries=5)
    provider.will("five", "still five", '{"n": 5}')

    refused = ask(service.client)

    assert (refused.status_code, refused.json()["type"]) == (502, "invalid-answer")
    assert [outcome for outcome, _ in attempts(service.process)] == ["invalid", "invalid"]
    assert len(provider.calls) == 2


def test_a_second_call_that_fails_is_not_retried(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(max_tries=5)
    provider.will("five", ProviderUnavailableError("claude", "http-503"))

    failed = ask(service.client)

    assert (failed.status_code, failed.json()["type"]) == (504, "provider-exhausted")
    assert [outcome for outcome, _ in attempts(service.process)] == ["invalid", "failed"]


def test_no_more_calls_are_made_than_tries_are_allowed(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(max_tries=1).client
    provider.will("five", '{"n": 5}')

    assert ask(client).status_code == 502
    assert len(provider.calls) == 1
