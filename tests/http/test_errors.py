"""Every error is a problem; nothing that a client sends ends in a 500 or comes back in one."""

import json
import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from askonce.core import errors as core_errors
from askonce.core.answers import Answer
from askonce.core.clock import Deadline
from askonce.core.questions import Question
from askonce.http.errors import PROBLEMS
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service

MARKER = "mellon-xyzzy"

# What the product handles itself, so that no client ever sees it.
INSIDE = {
    core_errors.AskonceError,
    core_errors.ProviderError,
    core_errors.ProviderUnavailableError,
    core_errors.LeaseLostError,
    core_errors.ConfigurationError,
}


def post(client: TestClient, body: bytes, **headers: str) -> Any:
    headers = {"content-type": "application/json"} | headers
    return client.post("/analyze/ann", content=body, headers=headers)


def deep(levels: int) -> bytes:
    return b'{"text": "x", "output_schema": ' + b'{"a": ' * levels + b"1" + b"}" * levels + b"}"


def test_every_error_of_the_product_has_a_problem() -> None:
    known = {
        value
        for value in vars(core_errors).values()
        if isinstance(value, type) and issubclass(value, core_errors.AskonceError)
    }

    assert known - INSIDE == set(PROBLEMS)


BODIES = [
    (400, b""),
    (400, b"{"),
    (400, b"not json"),
    (400, b'{"text": "\xff"}'),
    (400, '{"text": "a"}'.encode("utf-16")),
    (400, b'\xef\xbb\xbf{"text": "a"}'),
    (400, b'{"text": "a"} trailing'),
    (400, b"[" * 100_000),
    (400, b'{"text": ' + b"1" * 5000 + b"}"),
    (422, b"{}"),
    (422, b"[]"),
    (422, b"null"),
    (422, b'"text"'),
    (422, b'{"text": ""}'),
    (422, b'{"text": null}'),
    (422, b'{"text": 1}'),
    (422, b'{"text": ["a"]}'),
    (422, b'{"text": NaN}'),
    (422, b'{"text": 1e999}'),
    (422, b'{"text": "a\\u0000b"}'),
    (422, b'{"text": "a\\ud800b"}'),
    (422, b'{"text": "a", "\\ud800": 1}'),
    (422, b'{"text": "a", "user_id": "bob"}'),
    (422, b'{"text": "a", "temperature": 0}'),
    (422, b'{"text": "' + b"a" * 200_001 + b'"}'),
    (422, b'{"text": "a", "instructions": "\\u0000"}'),
    (422, b'{"text": "a", "provider": ""}'),
    (422, b'{"text": "a", "model": "a b"}'),
    (422, b'{"text": "a", "model": "\\u0000"}'),
    (422, b'{"text": "a", "max_output_tokens": 0}'),
    (422, b'{"text": "a", "max_output_tokens": 1.5}'),
    (422, b'{"text": "a", "max_output_tokens": "5"}'),
    (422, b'{"text": "a", "max_output_tokens": true}'),
    (422, b'{"text": "a", "max_output_tokens": 1e30}'),
    (422, b'{"text": "a", "output_schema": []}'),
    (422, b'{"text": "a", "output_schema": {"type": 5}}'),
    (422, b'{"text": "a", "output_schema": {"minimum": NaN}}'),
    (422, b'{"text": "a", "output_schema": {"minimum": 1e999}}'),
    (422, b'{"text": "a", "output_schema": {"minimum": 9007199254740993}}'),
    (422, b'{"text": "a", "output_schema": {"const": "\\ud800"}}'),
    (422, b'{"text": "a", "output_schema": {"$ref": "file:///etc/passwd"}}'),
    (422, deep(100)),
    (422, deep(900)),
    (400, deep(100_000)),
    (413, b'{"text": "' + b"a" * 10_000_000 + b'"}'),
]


@pytest.mark.parametrize(("status", "body"), BODIES, ids=range(len(BODIES)))
def test_a_bad_body_gets_a_clear_error(
    client: TestClient, provider: FakeProvider, status: int, body: bytes
) -> None:
    refused = post(client, body)

    assert (refused.status_code, refused.json()["status"]) == (status, status)
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
    assert len(refused.content) < 2000
    assert provider.calls == []
    if status == 422:
        assert all(error["field"] and error["message"] for error in refused.json()["errors"])


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_only_plain_json_in_utf_8_is_read(client: TestClient, headers: dict[str, str]) -> None:
    refused = client.post("/analyze/ann", content=b'{"text": "a"}', headers=headers)

    assert (refused.status_code, refused.json()["type"]) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.askonce+json"],
)
def test_json_may_be_called_so_in_several_ways(client: TestClient, content_type: str) -> None:
    assert post(client, b'{"text": "a"}', **{"content-type": content_type}).status_code == 200


def test_a_body_without_a_length_is_counted_as_it_comes(client: TestClient) -> None:
    def chunks() -> Any:
        yield b'{"text": "'
        for _ in range(20):
            yield b"a" * 100_000
        yield b'"}'

    refused = client.post(
        "/analyze/ann", content=chunks(), headers={"content-type": "application/json"}
    )

    assert (refused.status_code, refused.json()["type"]) == (413, "too-large")


@pytest.mark.parametrize(
    "text",
    [
        "a",
        " ",
        "\r\n",
        "\u2028\ufffe",
        "é" * 200_000,
        "😀" * 200_000,
        "e\u0301",
        "\x1b[31m",
        "\x01",
    ],
)
def test_a_text_counts_as_it_came(client: TestClient, provider: FakeProvider, text: str) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False).encode()

    answered = post(client, body)

    assert answered.status_code == 200
    assert provider.calls[-1].text == text
    shown = client.get(f"/history/ann/{answered.json()['id']}")
    assert shown.json()["text"] == text


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing/here", 404, None),
        ("GET", "/analyze", 404, None),
        ("GET", "/history/ann/", 404, None),
        ("POST", "/analyze/ann/", 404, None),
        ("POST", "/analyze/a/b", 404, None),
        ("GET", "/analyze/ann", 405, {"POST"}),
        ("PUT", "/history/5", 405, {"GET", "DELETE"}),
        ("POST", "/health", 405, {"GET"}),
        ("DELETE", "/history/ann/5", 405, {"GET"}),
    ],
)
def test_unknown_paths_and_methods_are_problems_too(
    client: TestClient, method: str, path: str, status: int, allow: set[str] | None
) -> None:
    refused = client.request(method, path, follow_redirects=False)

    assert (refused.status_code, refused.json()["status"]) == (status, status)
    if allow is not None:
        assert set(refused.headers["Allow"].split(", ")) == allow


@pytest.mark.parametrize("user", ["a b", "a%2Fb", "%00", "é", "a" * 129, "a;b", "%F0%9F%98%80"])
def test_a_user_id_has_its_own_spelling(client: TestClient, user: str) -> None:
    refused = client.post(f"/analyze/{user}", json={"text": "a"})

    assert refused.status_code in {404, 422}
    if refused.status_code == 422:
        assert refused.json()["errors"][0]["field"] == "user_id"


@pytest.mark.parametrize("user", ["a", "A.b_c@d:e+f-g", "a" * 128, "1"])
def test_users_are_called_as_the_contract_allows(client: TestClient, user: str) -> None:
    answered = client.post(f"/analyze/{user}", json={"text": "a"})

    assert answered.json()["user_id"] == user


@pytest.mark.parametrize("given", ["abc-123_x.y:z", "a" * 128])
def test_a_sane_request_id_is_kept(client: TestClient, given: str) -> None:
    assert client.get("/nothing", headers={"X-Request-ID": given}).json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, "\x01", "<script>", "é"])
def test_any_other_request_id_is_replaced(client: TestClient, given: str) -> None:
    answered = client.get("/health", headers={b"X-Request-ID": given.encode()})

    assert re.fullmatch(r"[0-9a-f]{32}", answered.headers["X-Request-ID"])


def test_nothing_that_was_sent_comes_back_in_an_error(
    client: TestClient, provider: FakeProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    provider.will(core_errors.ProviderRejectedError("claude", "http-400"))
    answers = [
        client.post("/analyze/ann", json={"text": MARKER}),
        client.post("/analyze/ann", json={"text": MARKER, "instructions": 5}),
        client.post("/analyze/ann", json={"text": [MARKER]}),
        client.post("/analyze/ann", json={"text": MARKER + "\x00"}),
        client.post("/analyze/ann", json={"text": MARKER, "output_schema": {"type": MARKER}}),
        post(client, b'{"text": "' + MARKER.encode()),
        post(client, MARKER.encode() * 100_000),
    ]

    assert all(answer.status_code >= 400 for answer in answers)
    assert not any(MARKER in answer.text for answer in answers)
    assert MARKER not in "".join(capfd.readouterr())


class BrokenProvider(FakeProvider):
    """One with a fault that nobody thought of."""

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        super().complete(question, deadline)
        raise RuntimeError(question.text)


def test_a_fault_of_our_own_is_a_problem_without_a_trace(
    database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = BrokenProvider("claude")
    with Service(database_url, broken).client as client:
        failed = client.post("/analyze/ann", json={"text": MARKER})
        again = client.post("/analyze/ann", json={"text": MARKER})

    assert (failed.status_code, failed.json()["type"]) == (500, "internal-error")
    assert failed.headers["X-Request-ID"] == failed.json()["request_id"]
    assert again.status_code == 500
    assert len(broken.calls) == 2
    assert MARKER not in failed.text + "".join(capfd.readouterr())


def test_openapi_documents_every_operation_with_its_errors(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in str(document)
    assert "$defs" not in str(document)
    assert all("application/problem+json" in str(operation) for operation in operations)
    assert {"/analyze/{user_id}", "/history/{user_id}", "/history/{user_id}/{id}"} <= set(
        document["paths"]
    )
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
