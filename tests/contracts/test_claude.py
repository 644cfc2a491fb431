"""What only Claude does."""

import json
from typing import Any

import pytest

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


class TestClaude:
    @pytest.fixture
    def claude(self, providers: dict[str, Provider]) -> Provider:
        return providers["claude"]

    def test_lets_the_api_enforce_a_schema(self, claude: Provider, stub: StubProvider) -> None:
        completed(claude, asked_of(claude, output_schema=json.dumps(FRUIT)))

        body = stub.calls()[0]["body"]
        assert body["output_config"]["format"]["type"] == "json_schema"
        assert body["output_config"]["format"]["schema"]["additionalProperties"] is False
        assert "system" not in body

    @pytest.mark.parametrize(
        "schema",
        [
            pytest.param({"title": "anything"}, id="no type"),
            pytest.param({"type": ["string", "null"]}, id="two types"),
            pytest.param(
                {"type": "object", "additionalProperties": {"type": "number"}}, id="open object"
            ),
        ],
    )
    def test_asks_in_words_for_a_schema_that_the_api_would_refuse_or_bend(
        self, schema: dict[str, Any], claude: Provider, stub: StubProvider
    ) -> None:
        question = asked_of(claude, output_schema=json.dumps(schema), instructions="Be brief.")

        completed(claude, question)

        body = stub.calls()[0]["body"]
        assert "output_config" not in body
        assert body["system"].startswith("Be brief.\n\n")
        assert json.dumps(schema) in body["system"]

    def test_an_answer_that_wants_a_tool_is_malformed(
        self, claude: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("tool")

        assert failure(ProviderUnavailableError, ask, claude).reason == "malformed"
