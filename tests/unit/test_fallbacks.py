"""The chain's fallbacks: who is asked when the question's own provider cannot answer."""

from dataclasses import dataclass, field

import pytest

from askonce.core.answers import Answer
from askonce.core.clock import Deadline
from askonce.core.errors import (
    InputTooLongError,
    ProviderCircuitOpenError,
    ProviderError,
    ProviderExhaustedError,
    ProviderRejectedError,
)
from askonce.core.ports import Chain
from askonce.core.questions import Question
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


@dataclass(frozen=True, slots=True)
class Three:
    """The question's own provider and two fallbacks, in this order."""

    own: FakeProvider = field(default_factory=lambda: FakeProvider("own"))
    second: FakeProvider = field(default_factory=lambda: FakeProvider("second"))
    third: FakeProvider = field(default_factory=lambda: FakeProvider("third"))

    def chain(self, clock: FakeClock, circuits: Circuits | None = None) -> Chain:
        return a_chain(
            self.own,
            self.second,
            self.third,
            clock=clock,
            max_tries=2,
            fallbacks=("second", "third"),
            circuits=circuits,
        )


@pytest.fixture
def three() -> Three:
    return Three()


@pytest.fixture
def circuits(clock: FakeClock) -> Circuits:
    return Circuits(failures=2, seconds=30, clock=clock)


@pytest.fixture
def chain(three: Three, clock: FakeClock) -> Chain:
    return three.chain(clock)


@pytest.fixture
def fragile(three: Three, clock: FakeClock, circuits: Circuits) -> Chain:
    """Return the same with circuits that open after two failures."""
    return three.chain(clock, circuits)


def open_circuit(circuits: Circuits, provider: str, model: str) -> None:
    for _ in range(2):
        with pytest.raises(ProviderError), circuits.call(provider, model):
            raise unavailable(provider=provider)


def error_of(chain: Chain, clock: FakeClock, journal: FakeJournal) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        chain.complete(QUESTION, Deadline.after(60, clock), journal)
    return caught.value


def test_asks_the_next_provider_with_its_own_model_when_the_tries_are_exhausted(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    three.own.will(unavailable("http-503"), unavailable("http-529"))

    answer = chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert (answer.provider, answer.model) == ("second", "second-model")
    assert three.second.calls[0].text == QUESTION.text
    assert journal.lines == [
        "open own m",
        "failed http-503",
        "open own m",
        "failed http-529",
        "open second second-model",
    ]


def test_asks_nobody_else_when_the_own_provider_answers(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert three.second.calls == []


@pytest.mark.parametrize(
    "error", [ProviderRejectedError("own", "http-401"), InputTooLongError("own", "input-too-long")]
)
def test_asks_nobody_else_when_the_own_provider_rejects(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal, error: ProviderError
) -> None:
    three.own.will(error)

    assert error_of(chain, clock, journal) is error
    assert len(three.own.calls) == 1
    assert three.second.calls == []


def test_gives_each_provider_its_tries_once_and_reports_the_last(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    for provider in (three.own, three.second, three.third):
        provider.will(*(unavailable(provider=provider.name, retry_after=0.1) for _ in range(9)))

    error = error_of(chain, clock, journal)

    assert isinstance(error, ProviderExhaustedError)
    assert (error.provider, error.retry_after) == ("third", 0.1)
    assert [len(provider.calls) for provider in (three.own, three.second, three.third)] == [2, 2, 2]
    assert chain.most_calls(QUESTION) == 6


def test_does_not_ask_the_own_provider_again_as_a_fallback(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    question = a_question(provider="second", model="special")
    three.second.will(unavailable(), unavailable(), "late")

    answer = chain.complete(question, Deadline.after(60, clock), journal)

    assert answer.provider == "third"
    assert [asked.model for asked in three.second.calls] == ["special", "special"]
    assert chain.most_calls(question) == 4


@pytest.mark.parametrize(
    "error",
    [ProviderRejectedError("second", "http-401"), InputTooLongError("second", "input-too-long")],
)
def test_passes_over_a_fallback_that_rejects(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal, error: ProviderError
) -> None:
    three.own.will(unavailable(), unavailable())
    three.second.will(error)

    answer = chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert answer.provider == "third"
    assert len(three.second.calls) == 1


def test_never_reports_as_final_what_a_fallback_alone_cannot_take(
    three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    chain = a_chain(three.own, three.second, clock=clock, max_tries=1, fallbacks=("second",))
    three.own.will(unavailable("http-503", provider="own"))
    three.second.will(InputTooLongError("second", "input-too-long"))

    error = error_of(chain, clock, journal)

    assert isinstance(error, ProviderExhaustedError)
    assert (error.provider, error.reason) == ("own", "http-503")


def test_a_long_wait_is_not_begun_where_somebody_else_can_be_asked(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    three.own.will(unavailable("http-429", retry_after=40))

    answer = chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert answer.provider == "second"
    assert clock.sleeps == []


def test_all_share_one_deadline(
    chain: Chain, three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    deadline = Deadline.after(60, clock)
    three.own.will(unavailable(retry_after=20), unavailable(retry_after=20))
    three.second.will(unavailable("http-429", retry_after=25))

    answer = chain.complete(QUESTION, deadline, journal)

    assert answer.provider == "third"
    assert clock.sleeps == [20]


class SlowProvider(FakeProvider):
    """One that takes as long as it may."""

    def __init__(self, name: str, clock: FakeClock) -> None:
        super().__init__(name)
        self._clock = clock

    def _said(self, question: Question, deadline: Deadline) -> Answer | BrokenOff:
        self._clock.advance(max(0.0, deadline.remaining()))
        return super()._said(question, deadline)


def test_asks_nobody_once_the_deadline_has_passed(
    three: Three, clock: FakeClock, journal: FakeJournal
) -> None:
    chain = a_chain(SlowProvider("own", clock), three.second, clock=clock, fallbacks=("second",))

    error = error_of(chain, clock, journal)

    assert (error.provider, error.reason) == ("own", "timeout")
    assert three.second.calls == []


def test_skips_a_provider_that_is_left_alone_and_closes_the_intent_to_call_it(
    fragile: Chain, three: Three, circuits: Circuits, clock: FakeClock, journal: FakeJournal
) -> None:
    open_circuit(circuits, "own", "m")

    answer = fragile.complete(QUESTION, Deadline.after(60, clock), journal)

    assert answer.provider == "second"
    assert three.own.calls == []
    assert journal.lines == ["open own m", "failed circuit-open", "open second second-model"]


def test_writes_nothing_of_a_fallback_that_is_left_alone(
    fragile: Chain, three: Three, circuits: Circuits, clock: FakeClock, journal: FakeJournal
) -> None:
    open_circuit(circuits, "second", "second-model")
    three.own.will(unavailable(), unavailable())

    answer = fragile.complete(QUESTION, Deadline.after(60, clock), journal)

    assert answer.provider == "third"
    assert three.second.calls == []
    assert not any("second" in line for line in journal.lines)


def test_says_when_to_come_back_when_all_are_left_alone(
    fragile: Chain, circuits: Circuits, clock: FakeClock, journal: FakeJournal
) -> None:
    open_circuit(circuits, "second", "second-model")
    clock.advance(10)
    open_circuit(circuits, "own", "m")
    open_circuit(circuits, "third", "third-model")

    error = error_of(fragile, clock, journal)

    assert isinstance(error, ProviderCircuitOpenError)
    assert (error.provider, error.retry_after) == ("second", 20)
    assert journal.lines == ["open own m", "failed circuit-open"]


def test_reports_what_was_tried_rather_than_what_was_left_alone(
    fragile: Chain, three: Three, circuits: Circuits, clock: FakeClock, journal: FakeJournal
) -> None:
    open_circuit(circuits, "own", "m")
    open_circuit(circuits, "third", "third-model")
    three.second.will(unavailable("http-429"), unavailable("http-429"))

    error = error_of(fragile, clock, journal)

    assert isinstance(error, ProviderExhaustedError)


def test_makes_no_further_try_once_the_circuit_has_opened(
    three: Three, circuits: Circuits, clock: FakeClock, journal: FakeJournal
) -> None:
    chain = a_chain(three.own, clock=clock, max_tries=9, circuits=circuits)
    three.own.will(*(unavailable() for _ in range(9)))

    error = error_of(chain, clock, journal)

    assert isinstance(error, ProviderExhaustedError)
    assert len(three.own.calls) == 2
    assert len(clock.sleeps) == 1


def test_reports_its_own_failure_when_others_open_the_circuit_meanwhile(
    three: Three, circuits: Circuits, journal: FakeJournal
) -> None:
    class ClockOfOthers(FakeClock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            with pytest.raises(ProviderError), circuits.call("own", "m"):
                raise unavailable()

    clock = ClockOfOthers()
    chain = a_chain(three.own, clock=clock, max_tries=9, circuits=circuits)
    three.own.will(unavailable("http-502"), "late")

    error = error_of(chain, clock, journal)

    assert isinstance(error, ProviderExhaustedError)
    assert error.reason == "http-502"
    assert journal.lines == ["open own m", "failed http-502"]


def test_one_call_tries_whether_the_provider_is_well_again(
    three: Three, circuits: Circuits, clock: FakeClock, journal: FakeJournal
) -> None:
    chain = a_chain(three.own, clock=clock, max_tries=9, circuits=circuits)
    open_circuit(circuits, "own", "m")
    clock.advance(30)
    three.own.will(unavailable(), "late")

    error = error_of(chain, clock, journal)
    clock.advance(30)
    answer = chain.complete(QUESTION, Deadline.after(60, clock), journal)

    assert isinstance(error, ProviderExhaustedError)
    assert answer.text == "late"
    assert not circuits.open_now()


def test_a_single_try_is_refused_while_the_provider_is_left_alone(
    fragile: Chain, three: Three, circuits: Circuits, clock: FakeClock, journal: FakeJournal
) -> None:
    open_circuit(circuits, "own", "m")

    with pytest.raises(ProviderCircuitOpenError):
        fragile.once(QUESTION, Deadline.after(60, clock), journal)

    assert three.own.calls == []
    # No intent had been written for it.
    assert journal.lines == []
