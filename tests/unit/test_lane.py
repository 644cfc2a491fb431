"""The slow lane: so many at once, so many waiting, and a clear no to the rest."""

import threading

import pytest

from askonce.core.errors import OverloadedError
from askonce.services.lane import Lane


def test_a_call_beyond_slots_and_queue_is_refused_at_once() -> None:
    lane = Lane(slots=1, queue=1)
    may_end = threading.Event()
    lane.submit(may_end.wait)  # type: ignore[arg-type]
    lane.submit(lambda: None)

    with pytest.raises(OverloadedError):
        lane.submit(lambda: None)

    may_end.set()
    lane.close()


def test_a_slot_is_free_again_after_a_call_that_failed() -> None:
    lane = Lane(slots=1, queue=0)
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise ValueError

    lane.submit(fail)
    failed.wait()
    done = threading.Event()
    while not done.is_set():
        try:
            lane.submit(done.set)
        except OverloadedError:
            continue
        assert done.wait(60)

    lane.close()


def test_closing_waits_for_calls_that_were_taken_on() -> None:
    lane = Lane(slots=1, queue=5)
    done: list[int] = []
    for number in range(4):
        lane.submit(lambda number=number: done.append(number))  # type: ignore[misc]

    lane.close()

    assert done == [0, 1, 2, 3]


def test_a_closed_lane_takes_nothing_on() -> None:
    lane = Lane(slots=1, queue=5)
    lane.close()

    with pytest.raises(OverloadedError):
        lane.submit(lambda: None)


def test_the_next_step_of_what_was_taken_on_is_run_however_much_waits() -> None:
    lane = Lane(slots=1, queue=0)
    may_end, done = threading.Event(), threading.Event()
    lane.submit(may_end.wait)  # type: ignore[arg-type]

    lane.go_on(done.set)
    may_end.set()

    assert done.wait(60)
    lane.close()
    with pytest.raises(OverloadedError):
        lane.go_on(lambda: None)
