"""What only the embedded model does."""

from decimal import Decimal

import pytest

from askonce.core.clock import Deadline
from askonce.core.errors import (
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.ports import Provider
from askonce.providers import local
from askonce.providers.local import LocalProvider
from tests.contracts.asking import CLOCK, Ask, asked_of, completed
from tests.serving import PATIENCE_SECONDS


@pytest.mark.skipif(not local.is_installed(), reason="the embedded model is not installed")
class TestLocal:
    @pytest.fixture
    def embedded(self, providers: dict[str, Provider]) -> Provider:
        return providers["local"]

    def test_costs_nothing(self, embedded: Provider) -> None:
        assert completed(embedded, asked_of(embedded)).cost == Decimal(0)

    def test_gives_the_same_answer_again(self, embedded: Provider, ask: Ask) -> None:
        question = asked_of(embedded, text="Why is the sky blue?")

        answers = {ask(embedded, question).text for _ in range(3)}

        assert len(answers) == 1

    def test_refuses_a_schema_that_it_cannot_follow(self, embedded: Provider, ask: Ask) -> None:
        question = asked_of(embedded, output_schema='{"type": "nonsense"}')

        with pytest.raises(ProviderRejectedError):
            ask(embedded, question)

    def test_is_busy_when_no_slot_is_free_by_the_deadline(self, embedded: Provider) -> None:
        question = asked_of(embedded, text="Count.", max_output_tokens=2000)
        running = [
            embedded.stream(question, Deadline.after(PATIENCE_SECONDS, CLOCK)) for _ in range(2)
        ]
        for stream in running:
            next(stream)

        with pytest.raises(ProviderUnavailableError) as caught:
            completed(embedded, asked_of(embedded), 0.1)

        assert (caught.value.reason, caught.value.may_be_paid) == ("busy", False)
        for stream in running:
            stream.close()  # type: ignore[attr-defined]

    def test_can_be_asked_again_after_it_was_closed(self, ask: Ask) -> None:
        embedded = LocalProvider()
        ask(embedded, asked_of(embedded))

        embedded.close()

        assert ask(embedded, asked_of(embedded)).text
        embedded.close()
