"""Streams of the chain: another try before the first word, none after it."""

import random
from collections.abc import Iterator

import pytest

from askonce.core.answers import Answer, Delta, Finished
from askonce.core.clock import Deadline
from askonce.core.errors import ProviderExhaustedError, ProviderRejectedError
from askonce.core.ports import Chain
from askonce.core.questions import Question
from askonce.providers.chain import ProviderChain
from askonce.providers.circuit import Circuits
from tests.examples import a_question
from tests.fakes.chain import FakeJournal, a_chain, unavailable
from tests.fakes.clock import FakeClock
from tests.fakes.provider import BrokenOff, FakeProvider

QUESTION = a_question(provider="own", model="m")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal() -> FakeJournal:
    return FakeJournal()


@pytest.fixture
def own() -> FakeProvider:
    return FakeProvider("own")


@pytest.fixture
def second() -> FakeProvider:
    return FakeProvider("second")


@pytest.fixture
def circuits(clock: FakeClock) -> Circuits:
    return Circuits(failures=1, seconds=30, clock=clock)


@pytest.fixture
def chain(own: FakeProvider, second: FakeProvider, clock: FakeClock) -> Chain:
    return a_chain(own, second, clock=clock, max_tries=2, fallbacks=("second",))


def events(chain: Chain, clock: FakeClock, journal: FakeJournal) -> Iterator[Delta | Finished]:
    return chain.stream(QUESTION, Deadline.after(60, clock), journal)


def read(chain: Chain, clock: FakeClock, journal: FakeJournal) -> tuple[str, Answer]:
    *pieces, last = events(chain, clock, journal)
    assert isinstance(last, Finished)
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta)), last.answer


def cut(said: str = "") -> BrokenOff:
    return BrokenOff(said, unavailable("cut", provider="own", may_be_paid=True))


def test_yields_the_answer_and_leaves_its_attempt_open(
    chain: Chain, own: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    own.will("one two three")

    said, answer = read(chain, clock, journal)

    assert said == answer.text == "one two three"
    assert journal.lines == ["open own m"]


def test_tries_again_what_was_cut_before_the_first_word(
    chain: Chain, own: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    own.will(cut(), "whole")

    said, _ = read(chain, clock, journal)

    assert said == "whole"
    assert journal.lines == ["open own m", "failed cut", "open own m"]


def test_asks_the_next_provider_before_the_first_word(
    chain: Chain, own: FakeProvider, second: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    own.will(unavailable(), cut())
    second.will("from elsewhere")

    said, answer = read(chain, clock, journal)

    assert said == "from elsewhere"
    assert (answer.provider, answer.model) == ("second", "second-model")
    assert journal.lines[-1] == "open second second-model"


def test_neither_tries_again_nor_asks_anybody_else_after_the_first_word(
    chain: Chain, own: FakeProvider, second: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    own.will(cut("one two "), "late")
    stream = events(chain, clock, journal)

    said = [next(stream), next(stream)]
    with pytest.raises(ProviderExhaustedError) as caught:
        next(stream)

    assert said == [Delta("one "), Delta("two ")]
    assert (caught.value.provider, caught.value.reason) == ("own", "cut")
    assert len(own.calls) == 1
    assert second.calls == []
    assert journal.lines == ["open own m", "failed cut"]


def test_passes_on_a_rejection_after_the_first_word(
    chain: Chain, own: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    own.will(BrokenOff("one ", ProviderRejectedError("own", "refused")))
    stream = events(chain, clock, journal)
    next(stream)

    with pytest.raises(ProviderRejectedError):
        next(stream)

    assert journal.lines == ["open own m", "failed refused"]


def test_writes_of_a_stream_that_nobody_reads_on_that_its_price_is_unknown(
    own: FakeProvider, clock: FakeClock, journal: FakeJournal, circuits: Circuits
) -> None:
    chain = a_chain(own, clock=clock, circuits=circuits)
    stream = events(chain, clock, journal)
    next(stream)

    del stream

    assert journal.lines == ["open own m", "failed abandoned"]
    assert not circuits.open_now()


def test_writes_nothing_of_a_stream_that_was_read_to_its_end(
    own: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    own.will("one")
    stream = events(a_chain(own, clock=clock), clock, journal)
    while not isinstance(next(stream), Finished):
        pass

    del stream

    assert journal.lines == ["open own m"]


def test_makes_no_call_before_it_is_read(
    chain: Chain, own: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    events(chain, clock, journal)

    assert own.calls == []
    assert journal.lines == []


def test_a_stream_that_is_cut_counts_against_the_provider_and_a_whole_one_for_it(
    own: FakeProvider, clock: FakeClock, journal: FakeJournal, circuits: Circuits
) -> None:
    chain = a_chain(own, clock=clock, circuits=circuits)
    own.will(cut("one "))
    with pytest.raises(ProviderExhaustedError):
        read(chain, clock, journal)
    is_open = circuits.refuses("own", "m")
    clock.advance(30)

    read(chain, clock, journal)

    assert is_open
    assert not circuits.open_now()


class BuggyProvider:
    """One that ends a stream in silence, or with a fault that nobody thought of."""

    name: str = "own"

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def complete(self, question: Question, deadline: Deadline) -> Answer:
        raise self._error or AssertionError(question, deadline)

    def stream(self, question: Question, deadline: Deadline) -> Iterator[Delta | Finished]:
        yield Delta(f"{question.model} {deadline.remaining():.0f}")
        if self._error is not None:
            raise self._error


def buggy(clock: FakeClock, error: Exception | None = None) -> Chain:
    return ProviderChain(
        {"own": BuggyProvider(error)},
        fallbacks={},
        circuits=Circuits(failures=9, seconds=30, clock=clock),
        max_tries=3,
        clock=clock,
        random=random.Random(1),
    )


def test_a_stream_that_ends_in_silence_was_cut(clock: FakeClock, journal: FakeJournal) -> None:
    with pytest.raises(ProviderExhaustedError):
        read(buggy(clock), clock, journal)

    assert journal.lines == ["open own m", "failed cut"]


def test_a_fault_of_our_own_leaves_no_attempt_open(clock: FakeClock, journal: FakeJournal) -> None:
    chain = buggy(clock, RuntimeError("a bug"))

    with pytest.raises(RuntimeError):
        read(chain, clock, journal)
    with pytest.raises(RuntimeError):
        chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert journal.lines == ["open own m", "failed internal error"] * 2


def test_tries_again_where_nothing_but_blanks_had_come(
    chain: Chain, own: FakeProvider, clock: FakeClock, journal: FakeJournal
) -> None:
    own.will(cut(" \n "), "\n\n whole")

    said, _ = read(chain, clock, journal)

    assert said == "\n\n whole"
    assert len(own.calls) == 2
