import pytest

from askonce.core.addresses import is_loopback


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "0177.0.0.1", "localhost", ""],  # noqa: S104
)
def test_everything_else_is_not(address: str) -> None:
    assert not is_loopback(address)
