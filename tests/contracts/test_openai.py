"""What only OpenAI does."""

import json
from typing import Any

import pytest

from askonce.core.answers import FinishReason
from askonce.core.errors import (
    ProviderUnavailableError,
)
from askonce.core.ports import Provider
from tests.contracts.asking import (
    FRUIT,
    Ask,
    asked_of,
    completed,
    failure,
)
from tests.stub.client import StubProvider


class TestOpenAI:
    @pytest.fixture
    def openai(self, providers: dict[str, Provider]) -> Provider:
        return providers["openai"]

    @pytest.mark.parametrize(
        ("schema", "is_strict"),
        [(FRUIT, True), ({"type": "object", "properties": {"a": {"type": "string"}}}, False)],
    )
    def test_is_strict_only_with_a_schema_that_allows_it(
        self, *, schema: dict[str, Any], is_strict: bool, openai: Provider, stub: StubProvider
    ) -> None:
        completed(openai, asked_of(openai, output_schema=json.dumps(schema)))

        assert stub.calls()[0]["body"]["text"] == {
            "format": {
                "type": "json_schema",
                "name": "answer",
                "schema": schema,
                "strict": is_strict,
            }
        }

    def test_an_answer_that_uses_up_the_limit_was_cut_by_it(
        self, openai: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("full")

        answer = ask(openai, asked_of(openai))

        assert answer.finish_reason is FinishReason.LENGTH

    def test_a_200_that_says_failed_is_worth_another_try(
        self, openai: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("failed")

        error = failure(ProviderUnavailableError, ask, openai)

        assert (error.reason, error.may_be_paid) == ("server-error", True)
