"""What a connection does to a call: resets, trickles, redirects, pools, names."""

import socket
import threading
import time
from typing import Any

import pytest

from askonce.core.errors import (
    ProviderError,
    ProviderRejectedError,
    ProviderUnavailableError,
)
from askonce.core.ports import Provider
from tests.contracts.asking import (
    HTTP,
    KEY,
    TOO_SOON_SECONDS,
    Ask,
    asked_of,
    failure,
    failure_in_time,
    http_provider,
    streamed,
)
from tests.ports import number_of, reserved_port
from tests.serving import PATIENCE_SECONDS, until
from tests.stub.client import StubProvider


@pytest.mark.parametrize("provider", HTTP, indirect=True)
class TestConnections:
    def test_a_reset_without_a_byte_may_be_paid(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("reset")

        error = failure(ProviderUnavailableError, ask, provider)

        assert (error.reason, error.may_be_paid) == ("cut", True)

    def test_goes_on_when_the_server_has_closed_an_idle_connection(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("hang-up", "hang-up")
        for _ in range(3):
            ask(provider, asked_of(provider))
            time.sleep(0.02)

        assert len(stub.calls()) == 3

    @pytest.mark.parametrize("mode", ["hang", "trickle", "trickle-head"])
    def test_a_server_that_trickles_ends_by_the_deadline_and_may_be_paid(
        self, mode: str, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(f"{mode} every=0.05")

        error = failure_in_time(ask, provider, stub)

        assert (error.reason, error.may_be_paid) == ("timeout", True)

    def test_a_stream_of_pings_ends_by_the_deadline(
        self, provider: Provider, stub: StubProvider
    ) -> None:
        stub.will("pings")

        error = failure_in_time(streamed, provider, stub)

        assert (error.reason, error.may_be_paid) == ("timeout", True)

    @pytest.mark.parametrize("mode", ["endless", "squeezed"])
    def test_an_answer_that_does_not_end_is_not_read_to_its_end(
        self, mode: str, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(mode)

        error = failure(ProviderUnavailableError, ask, provider)

        assert (error.reason, error.may_be_paid) == ("malformed", True)

    def test_an_error_in_the_middle_of_a_stream_is_worth_another_try(
        self, provider: Provider, stub: StubProvider
    ) -> None:
        stub.will("error-event")

        error = failure(ProviderUnavailableError, streamed, provider)

        assert error.reason == {"claude": "overloaded", "openai": "server-error"}[provider.name]
        assert error.may_be_paid

    def test_calls_wait_for_the_server_side_by_side(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(*["held=start"] * 3)
        calls = [
            threading.Thread(target=ask, args=(provider, asked_of(provider))) for _ in range(3)
        ]
        for call in calls:
            call.start()

        until(lambda: stub.state()["running"] == 3)

        stub.let_go()
        for call in calls:
            call.join()

    def test_a_redirect_is_not_followed(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will(f"redirect location={stub.url}/v1/messages")

        error = failure(ProviderRejectedError, ask, provider)

        assert error.reason == "http-307"
        assert len(stub.calls()) == 1

    @pytest.mark.parametrize(
        "mode", ["400", "401", "429", "500", "malformed", "cut", "error-event"]
    )
    def test_no_error_tells_the_key_the_text_or_the_words_of_the_provider(
        self, mode: str, provider: Provider, stub: StubProvider
    ) -> None:
        stub.will(mode)

        with pytest.raises(ProviderError) as caught:
            streamed(provider, asked_of(provider, text="a private text"))

        told = f"{caught.value} {caught.value!r} {vars(caught.value)}"
        assert not any(word in told for word in (KEY, "private", "secret words"))


@pytest.mark.parametrize("name", HTTP)
class TestHttpProviderOnItsOwn:
    def test_keeps_its_own_timeout_where_the_deadline_is_far(
        self, name: str, ask: Ask, stub: StubProvider
    ) -> None:
        stub.will("trickle every=0.05")
        provider = http_provider(name, stub, timeout=TOO_SOON_SECONDS)

        error = failure_in_time(ask, provider, stub, seconds=60)

        assert error.reason == "timeout"
        provider.close()

    def test_a_call_that_cannot_be_made_was_not_paid(self, name: str, ask: Ask) -> None:
        with reserved_port() as closed:
            provider = http_provider(name, base_url=f"http://127.0.0.1:{number_of(closed)}")

            error = failure(ProviderUnavailableError, ask, provider)

        assert (error.reason, error.may_be_paid) == ("connect", False)
        provider.close()

    def test_a_resolver_that_hangs_is_not_waited_for(
        self, name: str, ask: Ask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        silent, has_spoken = threading.Event(), threading.Event()

        def getaddrinfo(*_: object, **__: object) -> list[Any]:
            silent.wait(PATIENCE_SECONDS)
            has_spoken.set()
            return []

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        provider = http_provider(name, base_url="http://provider.invalid")
        provider.warm()

        error = failure(ProviderUnavailableError, ask, provider, seconds=TOO_SOON_SECONDS)

        assert not has_spoken.is_set()
        silent.set()
        assert (error.reason, error.may_be_paid) == ("connect", False)
        provider.close()

    def test_the_environment_cannot_lead_its_calls_elsewhere(
        self, name: str, ask: Ask, stub: StubProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", stub.claude_url)
        monkeypatch.setenv("OPENAI_BASE_URL", stub.openai_url)
        provider = http_provider(name, stub, base_url=None)

        error = failure(ProviderUnavailableError, ask, provider)

        assert error.reason == "connect"
        assert stub.calls() == []
        provider.close()

    def test_a_slash_at_the_end_of_the_address_changes_nothing(
        self, name: str, ask: Ask, stub: StubProvider
    ) -> None:
        urls = {"claude": f"{stub.claude_url}/", "openai": f"{stub.openai_url}/"}
        provider = http_provider(name, stub, base_url=urls[name])

        ask(provider, asked_of(provider))

        assert [call["path"] for call in stub.calls()] == [
            {"claude": "/v1/messages", "openai": "/v1/responses"}[name]
        ]
        provider.close()
