"""How the event loop hears of what other threads finish."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from askonce.http.arrivals import Arrivals


def test_everybody_gets_what_their_own_future_gave() -> None:
    async def run() -> list[int]:
        arrivals = Arrivals()
        futures: list[Future[int]] = [Future() for _ in range(1000)]

        def resolve() -> None:
            for number, future in enumerate(futures):
                future.set_result(number)

        threading.Thread(target=resolve).start()
        return await asyncio.gather(*(arrivals.of(future, seconds=60) for future in futures))

    assert asyncio.run(run()) == list(range(1000))


def test_an_error_is_raised_where_it_is_waited_for() -> None:
    async def run() -> None:
        future: Future[int] = Future()
        waiting = asyncio.ensure_future(Arrivals().of(future))
        await asyncio.sleep(0)
        future.set_exception(LookupError())
        await waiting

    with pytest.raises(LookupError):
        asyncio.run(run())


def test_nothing_is_waited_for_longer_than_it_may_take() -> None:
    async def run() -> None:
        await Arrivals().of(Future(), seconds=0.01)

    with pytest.raises(TimeoutError):
        asyncio.run(run())


def test_who_goes_away_does_not_end_the_work_nor_the_others_waiting() -> None:
    async def run() -> int:
        arrivals = Arrivals()
        future: Future[int] = Future()
        leaving = asyncio.ensure_future(arrivals.of(future))
        staying = asyncio.ensure_future(arrivals.of(future))
        await asyncio.sleep(0)
        leaving.cancel()
        future.set_result(7)
        return await staying

    assert asyncio.run(run()) == 7


def test_a_result_for_a_loop_that_is_gone_disturbs_nobody() -> None:
    arrivals = Arrivals()
    late: Future[int] = Future()

    async def leave() -> None:
        waiting = asyncio.ensure_future(arrivals.of(late))
        await asyncio.sleep(0)
        waiting.cancel()

    async def stay() -> int:
        future: Future[int] = Future()
        waiting = asyncio.ensure_future(arrivals.of(future))
        await asyncio.sleep(0)
        future.set_result(8)
        return await waiting

    asyncio.run(leave())
    late.set_result(7)

    assert asyncio.run(stay()) == 8
