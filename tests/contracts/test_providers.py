"""What every provider keeps to."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from askonce.core.answers import Delta, Finished, FinishReason
from askonce.core.clock import Deadline
from askonce.core.errors import (
    InputTooLongError,
    ProviderUnavailableError,
)
from askonce.core.ports import Provider
from tests.contracts.asking import (
    CLOCK,
    EVERY,
    FRUIT,
    HTTP,
    MODELS,
    Ask,
    asked_of,
    completed,
)
from tests.fakes.provider import FakeProvider
from tests.serving import PATIENCE_SECONDS
from tests.stub.client import StubProvider


@pytest.mark.parametrize("provider", EVERY, indirect=True)
@pytest.mark.usefixtures("stub")
class TestEveryProvider:
    def test_answers_with_what_was_asked_and_what_it_took(
        self, provider: Provider, ask: Ask
    ) -> None:
        answer = ask(provider, asked_of(provider, text="What is the capital of France?"))

        assert answer.text
        assert (answer.provider, answer.model) == (provider.name, MODELS[provider.name])
        assert answer.finish_reason is FinishReason.STOP
        assert answer.tokens_in > 0
        assert answer.tokens_out > 0
        assert answer.cost is not None

    def test_streams_what_it_answers_in_more_than_one_piece(self, provider: Provider) -> None:
        question = asked_of(provider, text="What is the capital of France?")

        events = list(provider.stream(question, Deadline.after(PATIENCE_SECONDS, CLOCK)))

        assert len(events) > 2
        assert [type(event) for event in events] == [Delta] * (len(events) - 1) + [Finished]

    def test_ends_by_the_deadline(self, provider: Provider, ask: Ask, stub: StubProvider) -> None:
        stub.will("hang")
        if isinstance(provider, FakeProvider):
            provider.hold()
        question = asked_of(provider, text="Tell me a long story. " * 1000, max_output_tokens=2000)
        started = time.monotonic()

        with pytest.raises(ProviderUnavailableError):
            ask(provider, question, 0.3)

        # The stub hangs for a minute, and reading this question takes the model half of one.
        assert time.monotonic() - started < 10

    def test_gives_up_at_once_when_the_deadline_has_passed(
        self, provider: Provider, ask: Ask
    ) -> None:
        with pytest.raises(ProviderUnavailableError):
            ask(provider, asked_of(provider), -1)

    def test_can_be_asked_by_many_threads_at_once(self, provider: Provider) -> None:
        texts = [f"What is {number}?" for number in range(6)]

        with ThreadPoolExecutor(6) as threads:
            answers = threads.map(
                lambda text: completed(provider, asked_of(provider, text=text)), texts
            )

        assert all(answer.text for answer in answers)

    def test_a_stream_that_nobody_reads_on_leaves_it_usable(self, provider: Provider) -> None:
        for _ in range(3):
            stream = provider.stream(asked_of(provider), Deadline.after(PATIENCE_SECONDS, CLOCK))
            next(stream)
            stream.close()  # type: ignore[attr-defined]

        assert completed(provider, asked_of(provider)).text


@pytest.mark.parametrize("provider", [*HTTP, "local"], indirect=True)
class TestEveryModel:
    def test_says_that_it_was_cut_at_the_token_limit(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("length")

        answer = ask(provider, asked_of(provider, text="Why?", max_output_tokens=3))

        assert answer.finish_reason is FinishReason.LENGTH
        assert answer.tokens_out == 3

    def test_refuses_a_text_that_does_not_fit_its_context(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("too-long")

        with pytest.raises(InputTooLongError):
            ask(provider, asked_of(provider, text="one two three " * 4000))

    def test_answers_in_json_where_a_schema_is_given(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will('text={"fruit": "apple"}')

        answer = ask(provider, asked_of(provider, output_schema=json.dumps(FRUIT)))

        assert json.loads(answer.text)["fruit"] in {"apple", "pear"}
