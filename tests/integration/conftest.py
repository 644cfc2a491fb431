"""What integration tests share: a stub provider in a process of its own."""

from tests.stub.fixtures import running_stub, stub

__all__ = ["running_stub", "stub"]
