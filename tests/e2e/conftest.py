from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Servers
from tests.stub.client import StubProvider
from tests.stub.fixtures import running_stub, stub

__all__ = ["running_stub", "stub"]


@pytest.fixture
def servers(tmp_path: Path, stub: StubProvider) -> Iterator[Servers]:
    servers = Servers(tmp_path / "servers", stub)
    yield servers
    servers.stop()
