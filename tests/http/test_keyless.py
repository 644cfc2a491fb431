"""Without any key: this machine alone, and only under its own names."""

import secrets
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from askonce.core.access import Role
from askonce.core.clock import SystemClock
from askonce.http.access import guard
from askonce.http.authentication import Authentication
from askonce.services.keys import Keys
from tests.http.conftest import Service
from tests.serving import until

PLAIN = "application/json"
ON_ITS_ROUTE = "application/json; charset=utf-8"


def ask(client: TestClient, content_type: str = PLAIN, **headers: str) -> int:
    headers = {"content-type": content_type, **headers}
    return client.post("/analyze/ann", content=b'{"text": "a"}', headers=headers).status_code


OWN_NAMES = ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "[::1]"]
OTHER_NAMES = [
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example:8000",
    "127.0.0.1@evil.example",
    "[::2]",
    "192.168.1.5:8000",
    "2130706433",
    "",
]


@pytest.mark.parametrize("content_type", [PLAIN, ON_ITS_ROUTE])
def test_this_machine_is_called_by_its_own_names_alone(
    client: TestClient, content_type: str
) -> None:
    """A page from anywhere may have its name lead here: DNS rebinding."""
    names = OWN_NAMES + OTHER_NAMES

    statuses = {host: ask(client, content_type, host=host) for host in names}

    assert statuses == {host: 200 if host in OWN_NAMES else 401 for host in names}


def test_a_key_that_is_shown_must_be_good_even_where_none_is_needed(client: TestClient) -> None:
    assert ask(client, authorization="Bearer none") == 401
    assert ask(client, **{"x-api-key": "ask_" + "a" * 43}) == 401


def test_where_others_can_call_nobody_goes_without_a_key(start: Callable[..., Service]) -> None:
    assert ask(start(host="0.0.0.0").client) == 401  # noqa: S104


def test_the_first_key_closes_a_server_that_runs(service: Service) -> None:
    client = service.client
    assert ask(client) == 200

    made = Keys(
        database=service.process.database,
        clock=SystemClock(),
        random_bytes=secrets.token_bytes,
    ).create("first", tenant="default", role=Role.SERVICE)

    assert until(lambda: ask(client) == 401) < 10
    assert ask(client, authorization=f"Bearer {made.text}", host="evil.example") == 200
    assert client.get("/health").status_code == 200


def test_a_route_that_does_not_say_who_may_call_it_stops_the_start(service: Service) -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/forgotten")
    def forgotten() -> str:
        return "everything"

    with pytest.raises(TypeError, match="/forgotten"):
        guard(app, Authentication(service.process.access), files=[])


def test_every_answer_has_the_headers_that_browsers_heed(client: TestClient) -> None:
    for path in ("/health", "/docs", "/nothing", "/history/ann", "/analyze/ann"):
        headers = client.get(path).headers

        assert headers.get_list("x-content-type-options") == ["nosniff"]
        assert headers.get_list("x-frame-options") == ["DENY"]
        assert headers.get_list("referrer-policy") == ["no-referrer"]
        assert headers.get_list("cross-origin-resource-policy") == ["same-origin"]
        [policy] = headers.get_list("content-security-policy")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "access-control-allow-origin" not in headers


def test_openapi_says_which_operations_need_a_key(client: TestClient) -> None:
    document = client.get("/openapi.json").json()

    assert set(document["components"]["securitySchemes"]) == {"bearer", "x-api-key"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            is_open = path in {"/health", "/ready", "/metrics"}
            assert operation.get("security", []) == (
                [] if is_open else [{"bearer": []}, {"x-api-key": []}]
            )
            assert ({"401", "403"} <= set(operation["responses"])) is not is_open
