"""What contract tests share: a stub provider, and one provider of each kind."""

from collections.abc import Iterator

import pytest

from askonce.core.ports import Provider
from askonce.providers import local
from askonce.providers.local import LocalProvider
from tests.contracts.asking import HTTP, Ask, completed, http_provider, streamed
from tests.fakes.provider import FakeProvider
from tests.stub.client import StubProvider
from tests.stub.fixtures import running_stub, stub

__all__ = ["running_stub", "stub"]


@pytest.fixture(scope="session")
def providers(running_stub: StubProvider) -> Iterator[dict[str, Provider]]:
    """Return one provider of each kind: loading an SDK or a model takes seconds."""
    spoken_to = [http_provider(name, running_stub) for name in HTTP]
    for provider in spoken_to:
        provider.warm()
    embedded = LocalProvider()
    yield {"local": embedded, **{provider.name: provider for provider in spoken_to}}
    for provider in spoken_to:
        provider.close()
    embedded.close()


@pytest.fixture
def provider(request: pytest.FixtureRequest, providers: dict[str, Provider]) -> Provider:
    if request.param == "local" and not local.is_installed():
        pytest.skip("the embedded model is not installed")
    return FakeProvider() if request.param == "fake" else providers[request.param]


@pytest.fixture(params=[completed, streamed])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Return each of the two ways to ask in turn."""
    way: Ask = request.param
    return way
