"""The whole application in this process, with a provider that a test scripts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient

from askonce.config import Settings
from askonce.core.clock import SystemClock
from askonce.main.process import Process, build
from tests.fakes.provider import FakeProvider


class Service:
    """A running application; `client` talks to it as any HTTP client would."""

    def __init__(self, database_url: str, provider: FakeProvider, /, **changes: Any) -> None:
        chosen: dict[str, Any] = {"provider": "claude", "max_tries": 1} | changes
        settings = Settings(_env_file=None, database_url=database_url, **chosen)
        self.openai, self.local = FakeProvider("openai"), FakeProvider("local")
        providers = {"claude": provider, "openai": self.openai, "local": self.local}
        self.app, self.process = build(settings, providers=providers, clock=SystemClock())
        self.client = TestClient(
            self.app, base_url="http://localhost", raise_server_exceptions=False
        )


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider("claude")


@pytest.fixture
def start(database_url: str, provider: FakeProvider) -> Iterator[Callable[..., Service]]:
    """Return a function that starts the application with changed settings."""
    with ExitStack() as running:

        def start(**changes: Any) -> Service:
            service = Service(database_url, provider, **changes)
            running.enter_context(service.client)
            return service

        yield start
        provider.let_go()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    return start()


@pytest.fixture
def client(service: Service) -> TestClient:
    return service.client


@pytest.fixture
def process(service: Service) -> Process:
    return service.process
