"""Steps that follow each other without a thread waiting in between."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from askonce.core.ports import Told

A = TypeVar("A")
B = TypeVar("B")


def then(first: "Future[A]", step: "Callable[[A], Future[B]]") -> "Future[B]":
    """Return the future of `step`, which is taken with the result of `first`.

    `step` runs in the thread that resolves `first`, so it must not wait for anything.
    """
    whole: Future[B] = Future()

    def take_step(done: "Future[A]") -> None:
        try:
            second = step(done.result())
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for `whole`
            whole.set_exception(error)
        else:
            second.add_done_callback(partial(tell, whole))

    first.add_done_callback(take_step)
    return whole


def tell(told: Told[A], done: "Future[A]") -> None:
    """Tell how a future ended that has."""
    error = done.exception()
    if error is None:
        told.set_result(done.result())
    else:
        told.set_exception(error)


def already(result: A) -> "Future[A]":
    """Return a future that is resolved."""
    future: Future[A] = Future()
    future.set_result(result)
    return future
