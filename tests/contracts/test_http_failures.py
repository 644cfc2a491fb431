"""How a provider that speaks HTTP fails, in our words, proved on the wire."""

import logging

import pytest

from askonce.core.errors import (
    InputTooLongError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.ports import Provider
from tests.contracts.asking import HTTP, KEY, Ask, asked_of, failure
from tests.stub.client import StubProvider


@pytest.mark.parametrize("provider", HTTP, indirect=True)
class TestFailuresOverHttp:
    @pytest.mark.parametrize("mode", ["cut", "cut-politely"])
    def test_a_broken_off_answer_is_none_and_may_be_paid(
        self, mode: str, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(mode)

        error = failure(ProviderUnavailableError, ask, provider)

        assert (error.reason, error.may_be_paid) == ("cut", True)

    @pytest.mark.parametrize("mode", ["malformed", "html", "shapeless", "list"])
    def test_a_200_that_is_no_answer_is_malformed_and_may_be_paid(
        self, mode: str, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(mode)

        error = failure(ProviderUnavailableError, ask, provider)

        assert (error.reason, error.may_be_paid) == ("malformed", True)

    @pytest.mark.parametrize("mode", ["empty", "blank"])
    def test_an_answer_without_a_word_is_none(
        self, mode: str, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(mode)

        error = failure(ProviderUnavailableError, ask, provider)

        assert (error.reason, error.may_be_paid) == ("empty", True)

    @pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
    def test_these_statuses_are_worth_another_try_which_it_leaves_to_others(
        self, status: int, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(str(status))

        error = failure(ProviderUnavailableError, ask, provider)

        assert (error.reason, error.may_be_paid) == (f"http-{status}", False)
        assert len(stub.calls()) == 1

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 418, 422, 501])
    def test_these_statuses_are_not(
        self, status: int, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(str(status))

        error = failure(ProviderRejectedError, ask, provider)

        assert error.reason == f"http-{status}"

    def test_a_413_means_that_the_text_is_too_long(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("413")

        failure(InputTooLongError, ask, provider)

    def test_money_that_is_used_up_does_not_come_back_by_trying(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("quota retry-after=1")

        error = failure(ProviderRejectedError, ask, provider)

        assert error.reason == "quota"

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ("retry-after=7", 7),
            ("retry-after=0.5", 0.5),
            ("retry-after-ms=250 retry-after=7", 0.25),
            ("retry-after=soon", None),
            ("", None),
        ],
    )
    def test_passes_on_how_long_the_provider_wants_to_be_left_alone(
        self,
        headers: str,
        seconds: float | None,
        provider: Provider,
        ask: Ask,
        stub: StubProvider,
    ) -> None:
        stub.will(f"429 {headers}")

        error = failure(ProviderUnavailableError, ask, provider)

        assert error.retry_after == seconds

    def test_no_log_tells_the_key_the_text_or_the_answer(
        self, provider: Provider, ask: Ask, stub: StubProvider, caplog: pytest.LogCaptureFixture
    ) -> None:
        stub.will("text=a private answer")

        with caplog.at_level(logging.DEBUG):
            ask(provider, asked_of(provider, text="a private text"))

        assert not any(word in caplog.text for word in (KEY, "private"))
