import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from askonce.http.docs import add_docs

FILES = {
    "docs.js": "text/javascript; charset=utf-8",
    "favicon.png": "image/png",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
}


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False)
    add_docs(app)
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def test_the_page_loads_only_what_is_served_here(client: TestClient) -> None:
    page = client.get("/docs")

    loaded = re.findall(r'<(?:script|link)[^>]+(?:src|href)="([^"]+)"', page.text)
    assert {f"docs/static/{name}" for name in FILES} == set(loaded)
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_the_page_may_run_nothing_but_our_files(client: TestClient) -> None:
    policy = client.get("/docs").headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(("name", "media_type"), FILES.items())
def test_files_come_with_their_type_and_may_be_kept(
    client: TestClient, name: str, media_type: str
) -> None:
    file = client.get(f"/docs/static/{name}")

    assert file.status_code == 200
    assert file.headers["content-type"] == media_type
    assert file.headers["cache-control"] == "public, max-age=86400"


@pytest.mark.parametrize(
    "path",
    ["README.md", "LICENSE", "", "..%2f..%2fdocs.py", "%2e%2e/docs.py", "swagger-ui.css/", "x.js"],
)
def test_no_other_file_can_be_reached(client: TestClient, path: str) -> None:
    response = client.get(f"/docs/static/{path}")

    assert response.status_code == 404


def test_is_not_described_itself(client: TestClient) -> None:
    assert client.get("/openapi.json").json()["paths"] == {}
