"""The history over HTTP: pages, filters, one row, deletion."""

from collections.abc import Callable
from itertools import chain
from typing import Any

import pytest
from fastapi.testclient import TestClient

from askonce.http.shown import dollars
from tests.http.conftest import Service


def ask(client: TestClient, text: str = "hello", user: str = "ann") -> int:
    return int(client.post(f"/analyze/{user}", json={"text": text}).json()["id"])


def ids(client: TestClient, **query: Any) -> list[int]:
    return [item["id"] for item in client.get("/history/ann", params=query).json()["items"]]


def test_an_item_is_the_answer_with_its_text(client: TestClient) -> None:
    answered = client.post("/analyze/ann", json={"text": "hello"}).json()

    listed = client.get("/history/ann").json()
    shown = client.get(f"/history/ann/{answered['id']}").json()

    assert listed == {"items": [answered | {"text": "hello"}], "next_cursor": None}
    assert shown == listed["items"][0]


def test_lists_the_last_ten_newest_first_and_goes_on_from_the_cursor(client: TestClient) -> None:
    written = [ask(client, f"text {number}") for number in range(23)]

    pages: list[list[int]] = []
    query: dict[str, Any] = {}
    while True:
        page = client.get("/history/ann", params=query).json()
        pages.append([item["id"] for item in page["items"]])
        if page["next_cursor"] is None:
            break
        query = {"cursor": page["next_cursor"]}

    assert [len(page) for page in pages] == [10, 10, 3]
    assert list(chain.from_iterable(pages)) == sorted(written, reverse=True)


def test_filters_combine(client: TestClient) -> None:
    first = ask(client, "the brown fox")
    hit = ask(client, "the brown fox")
    ask(client, "the lazy dog")

    assert ids(client, q="FOX brown") == [hit, first]
    assert ids(client, q="fox", cached="true") == [hit]
    assert ids(client, provider="openai") == []
    assert ids(client, model="claude-haiku-5-5", limit=1, cached="false", q="fox") == [first]
    assert ids(client, since="2001-01-01", until="2001-01-01T00:00:00Z") == []
    assert ids(client, since="2001-01-01T00:00:00+01:00", q="fox") == [hit, first]


def test_somebody_elses_analysis_is_not_there(client: TestClient) -> None:
    analysis_id = ask(client, user="bob")

    foreign = client.get(f"/history/ann/{analysis_id}")
    absent = client.get("/history/ann/999999")

    assert foreign.status_code == absent.status_code == 404
    assert ids(client) == []


def test_deletes_once(client: TestClient) -> None:
    analysis_id = ask(client)

    first = client.delete(f"/history/{analysis_id}")
    second = client.delete(f"/history/{analysis_id}")

    assert (first.status_code, first.content) == (204, b"")
    assert (second.status_code, second.json()["type"]) == (404, "not-found")
    assert client.get(f"/history/ann/{analysis_id}").status_code == 404


@pytest.mark.parametrize("spelled", ["0", "01", "+1", "-1", "1.0", "1_0", "abc", "1" + 30 * "0"])
def test_what_is_not_spelled_as_an_id_is_not_found(client: TestClient, spelled: str) -> None:
    ask(client)

    assert client.delete(f"/history/{spelled}").status_code == 404
    assert client.get(f"/history/ann/{spelled}").status_code == 404


@pytest.mark.parametrize("largest", [2**63 - 1, 2**63, 2**64])
def test_the_largest_ids_are_not_found(client: TestClient, largest: int) -> None:
    assert client.delete(f"/history/{largest}").status_code == 404
    assert client.get(f"/history/ann/{largest}").status_code == 404


@pytest.mark.parametrize(
    "cursor", ["", "x", "AAAA", "YmVmb3JlOjA", "YmVmb3JlOjEx=", "%00", "before:5", "9" * 99]
)
def test_a_cursor_of_somebody_elses_making_is_refused(client: TestClient, cursor: str) -> None:
    refused = client.get(f"/history/ann?cursor={cursor}")

    assert (refused.status_code, refused.json()["type"]) == (400, "malformed-request")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("limit", "0"),
        ("limit", "101"),
        ("limit", "ten"),
        ("cached", "perhaps"),
        ("since", "yesterday"),
        ("since", "1"),
        ("until", "2026-13-01"),
        ("until", "2026-11-21T10:00:00"),
        ("since", "0001-01-01T00:00:00%2B14:00"),
        ("q", "+".join(f"word{number}" for number in range(33))),
        ("q", "a" * 1001),
        ("provider", "%00"),
        ("model", "a b"),
    ],
)
def test_a_wrong_query_names_its_field(client: TestClient, field: str, value: str) -> None:
    refused = client.get(f"/history/ann?{field}={value}")

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


@pytest.mark.parametrize("q", ["a%00b", "%ff", "' OR 1=1 --", '"', "NEAR(a b)", "a*", "日本", "½"])
def test_any_search_is_answered(client: TestClient, q: str) -> None:
    ask(client, "nothing of the sort")

    found = client.get(f"/history/ann?q={q}")

    assert (found.status_code, found.json()["items"]) == (200, [])


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        (None, None),
        ("0", "0.000000"),
        ("0.000213", "0.000213"),
        ("0.00001234", "0.00001234"),
        ("1", "1.000000"),
        ("1E+3", "1000.000000"),
        ("0.000000000001", "0.000000000001"),
    ],
)
def test_money_is_a_plain_decimal(amount: str | None, written: str | None) -> None:
    from decimal import Decimal

    assert dollars(None if amount is None else Decimal(amount)) == written


def test_health_says_what_answers(start: Callable[..., Service]) -> None:
    client = start(claude_model="claude-sonnet-5-5").client

    health = client.get("/health")

    assert health.json() | {"version": "0"} == {
        "status": "ok",
        "version": "0",
        "database": "ok",
        "provider": "claude",
        "model": "claude-sonnet-5-5",
    }
    assert client.get("/ready").json() == {"status": "ready"}
