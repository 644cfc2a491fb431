"""The chain: how often it asks, how long it waits, and when it gives up."""

import random
from collections.abc import Callable

import pytest

from askonce.core.clock import Deadline
from askonce.core.errors import (
    InputTooLongError,
    LeaseLostError,
    ProviderError,
    ProviderExhaustedError,
    ProviderRejectedError,
    UnknownProviderError,
)
from askonce.core.ports import Chain
from tests.examples import a_question
from tests.fakes.chain import FakeJournal, a_chain, unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.provider import FakeProvider

QUESTION = a_question(provider="fake", model="m")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider()


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture
def chain(provider: FakeProvider, clock: FakeClock) -> Chain:
    return a_chain(provider, clock=clock)


def test_asks_once_where_the_first_try_succeeds(
    chain: Chain, journal: FakeJournal, clock: FakeClock
) -> None:
    answer = chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert answer.text == "answer to What is a cache? #1"
    assert journal.lines == ["open fake m"]
    assert clock.sleeps == []


def test_writes_every_try_to_the_journal_and_leaves_the_good_one_open(
    chain: Chain, provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    provider.will(unavailable("http-503"), unavailable("http-429"), "good")

    answer = chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert answer.text == "good"
    assert journal.lines == [
        "open fake m",
        "failed http-503",
        "open fake m",
        "failed http-429",
        "open fake m",
    ]


def test_gives_up_after_the_last_try_with_its_reason_and_retry_after(
    chain: Chain, provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    provider.will(unavailable("a"), unavailable("b"), unavailable("c", retry_after=7), "late")

    with pytest.raises(ProviderExhaustedError) as caught:
        chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert (caught.value.provider, caught.value.reason) == ("fake", "c")
    assert caught.value.retry_after == 7
    assert len(provider.calls) == 3


def test_waits_twice_as_long_each_time_and_never_more_than_eight_seconds(
    provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    chain = a_chain(provider, clock=clock, max_tries=8)
    provider.will(*(unavailable() for _ in range(8)))

    with pytest.raises(ProviderExhaustedError):
        chain.complete(QUESTION, Deadline.after(600, clock), journal)

    assert clock.sleeps == [0.5, 1, 2, 4, 8, 8, 8]


def test_waits_between_nothing_and_the_longest_by_chance(
    provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    chain = a_chain(provider, clock=clock, max_tries=99, chance=random.Random(1))
    provider.will(*(unavailable() for _ in range(99)))

    with pytest.raises(ProviderExhaustedError):
        chain.complete(QUESTION, Deadline.after(6000, clock), journal)

    assert 0 <= min(clock.sleeps) < 1
    assert 7 < max(clock.sleeps) <= 8


def test_waits_exactly_as_long_as_the_provider_asks(
    chain: Chain, provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    provider.will(unavailable(retry_after=30), unavailable(retry_after=0.2), "good")

    chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert clock.sleeps == [30, 0.2]


def test_does_not_begin_a_wait_that_would_pass_the_deadline(
    chain: Chain, provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    provider.will(unavailable("http-429", retry_after=60))

    with pytest.raises(ProviderExhaustedError) as caught:
        chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert clock.sleeps == []
    assert caught.value.retry_after == 60
    assert len(provider.calls) == 1


def test_makes_no_call_once_the_deadline_has_passed(
    chain: Chain, provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    with pytest.raises(ProviderExhaustedError) as caught:
        chain.complete(QUESTION, Deadline.after(0, clock), journal)

    assert caught.value.reason == "deadline"
    assert provider.calls == []
    # The intent was written with the claim, so it must be closed.
    assert journal.lines == ["open fake m", "failed deadline"]


@pytest.mark.parametrize(
    "later",
    [
        pytest.param(lambda: unavailable("timeout", may_be_paid=True), id="paid again"),
        pytest.param(lambda: unavailable("http-503"), id="not paid"),
    ],
)
def test_makes_at_most_one_more_try_after_one_that_may_have_been_paid(
    later: Callable[[], ProviderError],
    provider: FakeProvider,
    journal: FakeJournal,
    clock: FakeClock,
) -> None:
    chain = a_chain(provider, clock=clock, max_tries=9)
    provider.will(unavailable("http-503"), unavailable("cut", may_be_paid=True), later(), "late")

    with pytest.raises(ProviderExhaustedError) as caught:
        chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert caught.value.reason == later().args[0].removeprefix("fake: ")
    assert len(provider.calls) == 3


def test_takes_the_answer_of_the_one_more_try(
    chain: Chain, provider: FakeProvider, journal: FakeJournal, clock: FakeClock
) -> None:
    provider.will(unavailable("timeout", may_be_paid=True), "good")

    answer = chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert answer.text == "good"


@pytest.mark.parametrize(
    "error",
    [ProviderRejectedError("fake", "http-401"), InputTooLongError("fake", "input-too-long")],
)
def test_never_repeats_what_the_provider_rejects(
    error: ProviderError,
    chain: Chain,
    provider: FakeProvider,
    journal: FakeJournal,
    clock: FakeClock,
) -> None:
    provider.will(error, "late")

    with pytest.raises(type(error)):
        chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert journal.lines == ["open fake m", f"failed {error.reason}"]
    assert clock.sleeps == []


def test_makes_no_call_for_a_flight_that_another_process_leads(
    chain: Chain, provider: FakeProvider, clock: FakeClock
) -> None:
    provider.will(unavailable(), "late")

    with pytest.raises(LeaseLostError):
        chain.complete(QUESTION, Deadline.after(60, clock), FakeJournal(lost_after=1))

    assert len(provider.calls) == 1


def test_asks_the_provider_that_the_question_names(clock: FakeClock, journal: FakeJournal) -> None:
    first, second = FakeProvider("first"), FakeProvider("second")
    chain = a_chain(first, second, clock=clock)

    answer = chain.complete(a_question(provider="second"), Deadline.after(60, clock), journal)

    assert answer.provider == "second"
    assert first.calls == []


def test_knows_no_provider_that_is_not_configured(
    chain: Chain, clock: FakeClock, journal: FakeJournal
) -> None:
    with pytest.raises(UnknownProviderError):
        chain.complete(a_question(provider="nobody"), Deadline.after(60, clock), journal)

    assert journal.lines == []
