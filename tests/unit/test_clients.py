"""SDK clients: one for each call in flight, and few that are kept for nobody."""

from collections.abc import Callable
from contextlib import ExitStack, suppress

from askonce.providers.clients import Clients


class Client:
    """Only knows whether it was closed."""

    is_closed = False

    def close(self) -> None:
        self.is_closed = True


class Maker:
    """Counts what was made."""

    def __init__(self) -> None:
        self.preparations = 0
        self.made: list[Client] = []

    def prepare(self) -> Callable[[], Client]:
        self.preparations += 1
        return self.make

    def make(self) -> Client:
        self.made.append(Client())
        return self.made[-1]


def test_calls_one_after_another_use_one_client() -> None:
    maker = Maker()
    clients = Clients(maker.prepare)

    with clients.lent() as first:
        pass
    with clients.lent() as second:
        pass

    assert first is second


def test_calls_at_one_time_share_no_client_and_prepare_once() -> None:
    maker = Maker()
    clients = Clients(maker.prepare)

    with clients.lent() as first, clients.lent() as second:
        assert first is not second

    assert maker.preparations == 1


def test_a_client_is_given_back_by_a_call_that_fails() -> None:
    maker = Maker()
    clients = Clients(maker.prepare)

    with suppress(ValueError), clients.lent():
        raise ValueError
    with clients.lent():
        pass

    assert len(maker.made) == 1


def test_a_burst_leaves_few_connections_open() -> None:
    maker = Maker()
    clients = Clients(maker.prepare)

    with ExitStack() as burst:
        for _ in range(200):
            burst.enter_context(clients.lent())

    assert len(maker.made) == 200
    assert sum(not client.is_closed for client in maker.made) == 64


def test_closing_closes_what_is_idle_and_the_next_call_opens_anew() -> None:
    maker = Maker()
    clients = Clients(maker.prepare)
    with clients.lent() as before:
        pass

    clients.close()

    with clients.lent() as after:
        assert before.is_closed
        assert not after.is_closed
