"""A real Chromium that is signed in to a real server, for all tests of a module."""

import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from askonce.core.access import Role
from askonce.core.clock import SystemClock
from askonce.db.database import SqlDatabase
from askonce.services.keys import Keys
from tests.browser.story import tell
from tests.databases import SqliteTemplates
from tests.serving import Server, Servers
from tests.stub.client import StubProvider
from tests.stub.fixtures import running_stub, stub

__all__ = ["running_stub", "stub"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_MILLISECONDS = 60_000.0
expect.set_options(timeout=_PATIENCE_MILLISECONDS)


@dataclass(slots=True)
class Console:
    """A page of a browser that is signed in as an admin, and what the browser complains of."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page


# Not longer: playwright runs an event loop in the thread of the tests, which others want to do too.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Run Debian's Chromium; without one the tests are skipped, but never where CI runs."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        message = "there is no Chromium (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        # As root Chromium cannot make its sandbox; it sees our own pages alone.
        browser = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
    sqlite_templates: SqliteTemplates,
    running_stub: StubProvider,
) -> Iterator[tuple[Server, str]]:
    """Run a server in whose database something has happened, and give an admin's key to it."""
    url = sqlite_templates.copy()
    database = SqlDatabase(url, pool_size=1)
    keys = Keys(database=database, clock=SystemClock(), random_bytes=secrets.token_bytes)
    key = keys.create("operator", tenant="default", role=Role.ADMIN).text
    running_stub.reset()
    servers = Servers(tmp_path_factory.mktemp("browser") / "servers", running_stub)
    started = servers.start(url, ASKONCE_PRICES="gpt-6-luna=0.25/2.00")
    tell(started, key, running_stub, database)
    database.close()
    yield started, key
    servers.stop()


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, server: tuple[Server, str]) -> Iterator[BrowserContext]:
    running, key = server
    context = chromium.new_context(viewport={"width": 1000, "height": 720}, locale="en-GB")
    context.set_default_timeout(_PATIENCE_MILLISECONDS)
    page = context.new_page()
    page.goto(f"http://localhost:{running.port}/console/history")
    page.get_by_label("Key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Ask").wait_for()
    page.close()
    yield context
    context.close()


@pytest.fixture
def console(
    signed_in: BrowserContext, server: tuple[Server, str], stub: StubProvider
) -> Iterator[Console]:
    del stub
    console = Console(signed_in.new_page(), f"http://localhost:{server[0].port}")
    console.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    console.page.on("pageerror", lambda error: console.complaints.append(str(error)))
    console.page.on(
        "console",
        lambda said: console.complaints.append(said.text) if said.type == "error" else None,
    )
    yield console
    console.page.close()
    # A Content-Security-Policy that a page breaks is told there, too.
    assert console.complaints == []


@pytest.fixture(scope="session")
def pictures() -> Path | None:
    """Return where pictures for the documentation are put; None: none are taken."""
    wanted = os.environ.get("ASKONCE_PICTURES")
    return Path(__file__).parents[2] / "docs" / "images" if wanted else None
