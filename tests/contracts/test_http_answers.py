"""What is sent to a provider that speaks HTTP, and what becomes of its answers."""

from decimal import Decimal
from typing import Any

import pytest

from askonce.core.answers import FinishReason
from askonce.core.ports import Provider
from tests.contracts.asking import HTTP, KEY, MODELS, Ask, asked_of, completed
from tests.stub.client import StubProvider
from tests.stub.wire_formats import default_text


@pytest.mark.parametrize("provider", HTTP, indirect=True)
class TestAnswersOverHttp:
    def test_makes_one_call_and_gives_its_answer_to_its_question(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        answer = ask(provider, asked_of(provider, text="What is a lease?"))

        assert answer.text == default_text("What is a lease?", 1)
        assert len(stub.calls()) == 1

    def test_sends_the_instructions_and_the_limit_and_nothing_that_it_need_not(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        question = asked_of(provider, instructions="Be brief.", max_output_tokens=77)

        ask(provider, question)

        body = stub.calls()[0]["body"]
        body.pop("stream", None)
        wanted: dict[str, Any] = {
            "claude": {
                "model": MODELS["claude"],
                "max_tokens": 77,
                "system": "Be brief.",
                "messages": [{"role": "user", "content": question.text}],
            },
            "openai": {
                "model": MODELS["openai"],
                "max_output_tokens": 77,
                "instructions": "Be brief.",
                "input": question.text,
                "store": False,
            },
        }
        assert body == wanted[provider.name]

    def test_reads_an_answer_as_long_as_its_question_allows(
        self, provider: Provider, stub: StubProvider
    ) -> None:
        stub.will(f"text={'long ' * 400_000}.")

        answer = completed(provider, asked_of(provider, max_output_tokens=1_000_000))

        assert len(answer.text) == 2_000_001

    def test_shows_its_key_and_no_trace_of_the_caller(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        ask(provider, asked_of(provider))

        headers = stub.calls()[0]["headers"]
        assert headers["authorization"] == f"Bearer {KEY}"
        assert "traceparent" not in headers

    def test_counts_cached_tokens_as_input_and_prices_them_lower(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("cached=4000 text=Fine.")
        cached = ask(provider, asked_of(provider, text="x" * 400))
        uncached = ask(provider, asked_of(provider, text="x" * 16_400 + "[[text=Fine.]]"))

        assert cached.tokens_in == 4100
        assert uncached.tokens_in == 4103
        assert cached.cost is not None
        assert uncached.cost is not None
        assert Decimal(0) < cached.cost < uncached.cost

    def test_does_not_know_what_an_answer_cost_that_does_not_say_what_it_took(
        self, provider: Provider, stub: StubProvider
    ) -> None:
        stub.will("no-usage")

        answer = completed(provider, asked_of(provider))

        assert (answer.tokens_in, answer.tokens_out, answer.cost) == (0, 0, None)

    @pytest.mark.parametrize("mode", ["nul", "surrogate"])
    def test_an_answer_can_always_be_stored(
        self, mode: str, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(mode)

        assert ask(provider, asked_of(provider)).text == "before\ufffdafter"

    @pytest.mark.parametrize("mode", ["refusal", "filtered"])
    def test_a_refusal_is_an_answer(
        self, mode: str, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(mode)

        answer = ask(provider, asked_of(provider))

        assert answer.finish_reason is FinishReason.REFUSAL
        assert answer.text
