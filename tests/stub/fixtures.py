"""Fixtures that any folder of tests may import: one stub provider a run, clean for each test."""

from collections.abc import Iterator

import pytest

from tests.stub.client import StubProvider


@pytest.fixture(scope="session")
def running_stub() -> Iterator[StubProvider]:
    with StubProvider() as stub:
        yield stub


@pytest.fixture
def stub(running_stub: StubProvider) -> StubProvider:
    """Return the run's stub provider, which remembers nothing of other tests."""
    running_stub.reset()
    return running_stub
