"""How every provider is shown a conversation: all of it, in its own form, with the roles kept."""

from typing import Any

import pytest

from askonce.core.answers import FinishReason
from askonce.core.conversations import Role, Spoken
from askonce.core.ports import Provider
from askonce.core.replies import REPLY_SCHEMA, reply_of
from tests.contracts.asking import EVERY, HTTP, Ask, asked_of, completed
from tests.stub.client import StubProvider

THREAD = (
    Spoken(Role.USER, "My name is Ann."),
    Spoken(Role.ASSISTANT, "Nice to meet you, Ann."),
)


def turn(provider: Provider, **changes: Any) -> Any:
    facts = {"text": "What is my name?", "messages": THREAD, "output_schema": REPLY_SCHEMA}
    return asked_of(provider, **facts | changes)


def sent(stub: StubProvider) -> list[tuple[str, str]]:
    """Return roles and contents of what the stub was shown last."""
    body = stub.calls()[-1]["body"]
    messages = body["messages"] if "messages" in body else body["input"]
    return [(message["role"], message["content"]) for message in messages]


@pytest.mark.parametrize("provider", EVERY, indirect=True)
@pytest.mark.usefixtures("stub")
class TestEveryProvider:
    def test_replies_with_content_and_confidence(self, provider: Provider, ask: Ask) -> None:
        answer = ask(provider, turn(provider), 30)

        assert answer.finish_reason is FinishReason.STOP
        reply = reply_of(answer, is_structured=True)
        assert reply.content.strip()
        assert reply.confidence is not None
        assert 0 <= reply.confidence <= 1

    def test_can_be_asked_for_a_summary(self, provider: Provider, ask: Ask) -> None:
        summary = turn(provider, text="Summarise our conversation.", output_schema=None)

        assert ask(provider, summary, 30).text.strip()

    def test_counts_all_that_was_said(self, provider: Provider, ask: Ask) -> None:
        short = ask(provider, turn(provider, messages=()), 30)
        long = ask(provider, turn(provider, messages=THREAD * 10), 30)

        assert long.tokens_in > short.tokens_in + 50


@pytest.mark.parametrize("provider", HTTP, indirect=True)
class TestEveryVendor:
    def test_is_shown_the_whole_thread_in_its_roles(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        ask(provider, turn(provider), 5)

        assert sent(stub) == [
            ("user", "My name is Ann."),
            ("assistant", "Nice to meet you, Ann."),
            ("user", "What is my name?"),
        ]

    def test_gets_the_instructions_as_the_system_prompt(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        ask(provider, turn(provider, instructions="Be brief."), 5)

        body = stub.calls()[0]["body"]
        assert body.get("system", body.get("instructions")) == "Be brief."
        assert len(sent(stub)) == 3

    def test_is_shown_two_hundred_turns(
        self, provider: Provider, ask: Ask, stub: StubProvider
    ) -> None:
        thread = [
            Spoken(role, f"{role.value} {number}")
            for number in range(200)
            for role in (Role.USER, Role.ASSISTANT)
        ]

        ask(provider, turn(provider, messages=tuple(thread)), 5)

        assert sent(stub)[:-1] == [(said.role.value, said.content) for said in thread]


def test_claude_is_shown_a_side_that_speaks_twice_as_one_message(
    providers: dict[str, Provider], stub: StubProvider
) -> None:
    claude = providers["claude"]
    thread = (Spoken(Role.USER, "One."), Spoken(Role.USER, "Two."))

    completed(claude, turn(claude, messages=thread, text="Three."))

    assert sent(stub) == [("user", "One.\n\nTwo.\n\nThree.")]


def test_claude_is_never_shown_a_thread_that_an_assistant_begins(
    providers: dict[str, Provider], stub: StubProvider
) -> None:
    claude = providers["claude"]

    completed(claude, turn(claude, messages=(Spoken(Role.ASSISTANT, "Hello!"),)))

    assert [role for role, _ in sent(stub)] == ["user", "assistant", "user"]


def test_openai_is_shown_every_message_as_one_of_its_own(
    providers: dict[str, Provider], stub: StubProvider
) -> None:
    openai = providers["openai"]
    thread = (Spoken(Role.USER, "One."), Spoken(Role.USER, "Two."))

    completed(openai, turn(openai, messages=thread, text="Three."))

    assert sent(stub) == [("user", "One."), ("user", "Two."), ("user", "Three.")]
    assert stub.calls()[0]["body"]["text"]["format"]["strict"] is True
