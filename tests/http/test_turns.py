"""Turns over HTTP: what a model is shown, what comes back, and what happens when it does not."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from askonce.core.answers import FinishReason
from askonce.core.clock import Deadline, SystemClock
from askonce.core.errors import InputTooLongError, ProviderUnavailableError
from tests.examples import an_answer
from tests.fakes.provider import FakeProvider
from tests.http.conftest import Service
from tests.http.test_sessions import begin, bring_in

UNAVAILABLE = ProviderUnavailableError("claude", "http-503")


def say(client: TestClient, session_id: int, content: str, **facts: Any) -> Any:
    headers = facts.pop("headers", {})
    return client.post(
        f"/sessions/{session_id}/messages",
        json={"role": "user", "content": content} | facts,
        headers=headers,
    )


def thread(client: TestClient, session_id: int) -> list[tuple[str, str]]:
    """Return roles and contents of all messages, oldest first."""
    page = client.get(f"/sessions/{session_id}", params={"limit": 100}).json()
    return [(one["role"], one["content"]) for one in reversed(page["messages"])]


def events(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    return [
        (block[0].removeprefix("event: "), json.loads(block[1].removeprefix("data: ")))
        for block in blocks
        if not block[0].startswith(":")
    ]


@pytest.fixture
def session_id(client: TestClient) -> int:
    return int(begin(client)["id"])


def test_a_reply_comes_with_what_was_said_and_what_it_took(
    client: TestClient, session_id: int
) -> None:
    response = say(client, session_id, "Where is Paris?")

    session = response.json()
    assert response.status_code == 200
    assert response.headers["cache-status"] == "askonce; fwd=uri-miss; stored"
    said, reply = session["messages"]
    assert (said["role"], said["content"], said["answered"]) == ("user", "Where is Paris?", True)
    assert (reply["role"], reply["content"]) == ("assistant", "answer to Where is Paris? #1")
    assert reply["confidence"] == 0.75
    assert (reply["provider"], reply["model"]) == ("claude", "claude-haiku-5-5")
    assert (reply["finish_reason"], reply["cached"]) == ("stop", False)
    assert reply["tokens_used"] == reply["tokens_in"] + reply["tokens_out"] > 0
    assert reply["cost_usd"] == "0.000123"
    assert reply["context"] == {"messages_sent": 1, "messages_summarised": 0}
    assert session["message_count"] == 2
    shown = client.get(f"/sessions/{session_id}").json()
    assert shown["messages"] == [reply, said]
    assert shown["updated_at"] == session["updated_at"] == reply["created_at"]


def test_every_turn_shows_the_model_the_whole_thread(
    client: TestClient, provider: FakeProvider
) -> None:
    session_id = begin(client, prompt="One?", instructions="Be brief.")["id"]

    say(client, session_id, "One?")
    say(client, session_id, "Two?")
    last = say(client, session_id, "Three?").json()["messages"][-1]

    call = provider.calls[-1]
    assert [(one.role.value, one.content) for one in call.messages or ()] == [
        ("user", "One?"),
        ("assistant", "answer to One? #1"),
        ("user", "Two?"),
        ("assistant", "answer to Two? #2"),
    ]
    assert (call.text, call.instructions) == ("Three?", "Be brief.")
    assert last["context"] == {"messages_sent": 5, "messages_summarised": 0}


def test_saying_the_prompt_again_has_it_answered(client: TestClient) -> None:
    session_id = begin(client, prompt="Where is Paris?")["id"]

    say(client, session_id, "Where is Paris?")

    assert [role for role, _ in thread(client, session_id)] == ["user", "assistant"]


def test_a_provider_that_fails_leaves_what_was_said_unanswered_and_a_repeat_resumes_it(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    provider.will(UNAVAILABLE)

    failed = say(client, session_id, "Where is Paris?")
    left = client.get(f"/sessions/{session_id}").json()["messages"]
    again = say(client, session_id, "Where is Paris?")

    assert failed.status_code == 504
    assert [(one["content"], one["answered"]) for one in left] == [("Where is Paris?", False)]
    assert again.status_code == 200
    assert [role for role, _ in thread(client, session_id)] == ["user", "assistant"]


def test_whoever_goes_on_instead_is_answered_with_all_that_was_said(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    provider.will(UNAVAILABLE)
    say(client, session_id, "Where is Paris?")

    reply = say(client, session_id, "Are you there?").json()["messages"][-1]

    assert [one.content for one in provider.calls[-1].messages or ()] == ["Where is Paris?"]
    assert reply["context"] == {"messages_sent": 2, "messages_summarised": 0}
    assert [
        one["answered"] for one in client.get(f"/sessions/{session_id}").json()["messages"]
    ] == [
        None,
        True,
        True,
    ]


def test_identical_threads_ask_once(client: TestClient, provider: FakeProvider) -> None:
    first, second = begin(client)["id"], begin(client, user_id="bob")["id"]

    replies = [
        say(client, session_id, content)
        for session_id in (first, second)
        for content in ("One?", "Two?")
    ]

    assert len(provider.calls) == 2
    assert [one.json()["messages"][-1]["cached"] for one in replies] == [False, False, True, True]
    assert replies[-1].headers["cache-status"].startswith("askonce; hit; ttl=")
    assert thread(client, first) == thread(client, second)
    assert client.get("/history/ann").json()["items"] == []


def test_a_thread_that_differs_asks_anew(client: TestClient, provider: FakeProvider) -> None:
    first, second = begin(client)["id"], begin(client)["id"]
    bring_in(client, second, "Welcome!")

    say(client, first, "One?")
    other = say(client, second, "One?").json()["messages"][-1]

    assert other["cached"] is False
    assert len(provider.calls) == 2


def test_an_analysis_of_the_same_text_is_another_question(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    client.post("/analyze/ann", json={"text": "One?"})
    say(client, session_id, "One?")

    assert len(provider.calls) == 2


@pytest.mark.parametrize("control", ["no-store", "no-cache"])
def test_who_wants_no_cache_asks_anew(
    client: TestClient, provider: FakeProvider, control: str
) -> None:
    first, second = begin(client)["id"], begin(client)["id"]

    say(client, first, "One?")
    response = say(client, second, "One?", headers={"Cache-Control": control})

    assert response.headers["cache-status"].startswith("askonce; fwd=request")
    assert len(provider.calls) == 2


def test_who_wants_the_cache_only_is_told_that_there_is_nothing(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    response = say(client, session_id, "One?", headers={"Cache-Control": "only-if-cached"})

    assert (response.status_code, response.json()["type"]) == (504, "not-cached")
    assert provider.calls == []


def test_a_thread_goes_on_with_another_provider_and_each_message_says_who_answered(
    service: Service,
) -> None:
    client = service.client
    session_id = begin(client)["id"]

    say(client, session_id, "One?")
    say(client, session_id, "Two?", provider="openai")
    client.patch(f"/sessions/{session_id}", json={"provider": "local"})
    say(client, session_id, "Three?")

    shown = client.get(f"/sessions/{session_id}").json()["messages"]
    assert [one["provider"] for one in reversed(shown)] == [
        None,
        "claude",
        None,
        "openai",
        None,
        "local",
    ]
    assert len(service.local.calls[0].messages or ()) == 4


def test_preferences_fill_what_a_session_leaves_open(
    client: TestClient, provider: FakeProvider
) -> None:
    client.put(
        "/users/ann/preferences", json={"instructions": "In French.", "max_output_tokens": 9}
    )

    say(client, begin(client)["id"], "One?")
    say(client, begin(client, instructions="In Greek.")["id"], "One?", max_output_tokens=8)

    asked = [(call.instructions, call.max_output_tokens) for call in provider.calls]
    assert asked == [("In French.", 9), ("In Greek.", 8)]


def test_a_reply_that_does_not_fit_is_asked_for_once_more(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(max_tries=2).client
    provider.will('{"content": "Paris.", "confidence": 90}', '{"content": "P.", "confidence": 0.9}')

    reply = say(client, begin(client)["id"], "One?").json()["messages"][-1]

    assert (reply["content"], reply["confidence"]) == ("P.", 0.9)
    assert "/confidence" in provider.calls[1].text


def test_a_reply_that_never_fits_is_an_error(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    client = start(max_tries=2).client
    session_id = begin(client)["id"]
    provider.will("Paris.", "Paris!")

    response = say(client, session_id, "One?")

    assert (response.status_code, response.json()["type"]) == (502, "invalid-answer")
    assert len(provider.calls) == 2
    assert len(thread(client, session_id)) == 1


def test_a_reply_in_fences_needs_no_second_call(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    provider.will('```json\n{"content": "Paris.", "confidence": 0.9}\n```')

    assert say(client, session_id, "One?").json()["messages"][-1]["content"] == "Paris."
    assert len(provider.calls) == 1


def test_a_reply_that_was_cut_stands_with_what_there_is_and_is_not_cached(
    client: TestClient, provider: FakeProvider
) -> None:
    cut = an_answer(text='{"content": "Paris is", "conf', finish_reason=FinishReason.LENGTH)
    provider.will(cut)
    first, second = begin(client)["id"], begin(client)["id"]

    reply = say(client, first, "One?").json()["messages"][-1]
    say(client, second, "One?")

    assert (reply["content"], reply["confidence"]) == ("Paris is", None)
    assert reply["finish_reason"] == "length"
    assert len(provider.calls) == 2


def test_a_refusal_stands_in_the_thread(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    provider.will(an_answer(text="I cannot help.", finish_reason=FinishReason.REFUSAL))

    reply = say(client, session_id, "One?").json()["messages"][-1]

    assert (reply["content"], reply["finish_reason"]) == ("I cannot help.", "refusal")
    assert reply["confidence"] is None


def test_a_streamed_reply_shows_the_content_as_it_grows_and_then_the_session(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    provider.will('{"content": "It is\\nParis, \\"of course\\".", "confidence": 0.9}')

    response = say(client, session_id, "One?", headers={"Accept": "text/event-stream"})

    *deltas, (last, done) = events(response.text)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-status"] == "askonce; fwd=uri-miss"
    assert {name for name, _ in deltas} == {"delta"}
    assert "".join(data["text"] for _, data in deltas) == 'It is\nParis, "of course".'
    assert last == "done"
    assert done["messages"][-1]["content"] == 'It is\nParis, "of course".'
    assert done["messages"] == client.get(f"/sessions/{session_id}").json()["messages"][::-1]


def test_a_hit_streams_too(client: TestClient) -> None:
    first, second = begin(client)["id"], begin(client)["id"]
    say(client, first, "One?")

    response = say(client, second, "One?", headers={"Accept": "text/event-stream"})

    (name, data), (last, done) = events(response.text)
    assert response.headers["cache-status"].startswith("askonce; hit")
    assert (name, data["text"]) == ("delta", "answer to One? #1")
    assert (last, done["messages"][-1]["cached"]) == ("done", True)


def test_an_import_is_not_streamed(client: TestClient, session_id: int) -> None:
    response = client.post(
        f"/sessions/{session_id}/messages",
        json={"role": "assistant", "content": "Hello!"},
        headers={"Accept": "text/event-stream"},
    )

    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "user"}, "content"),
        ({"role": "user", "content": ""}, "content"),
        ({"role": "user", "content": "x" * 200_001}, "content"),
        ({"role": "user", "content": "\x00"}, "content"),
        ({"role": "system", "content": "x"}, "role"),
        ({"role": "summary", "content": "x"}, "role"),
        ({"content": "x"}, "role"),
        ({"role": "user", "content": "x", "provider": "nobody"}, "provider"),
        ({"role": "user", "content": "x", "temperature": 1}, "temperature"),
        ({"role": "assistant", "content": "x", "model": "m"}, "body"),
    ],
)
def test_a_wrong_message_is_refused_and_nothing_is_said(
    client: TestClient, session_id: int, body: dict[str, Any], field: str
) -> None:
    response = client.post(f"/sessions/{session_id}/messages", json=body)

    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == field
    assert thread(client, session_id) == []


def test_nobody_speaks_in_a_session_that_is_not_there(client: TestClient) -> None:
    assert say(client, 77, "Hello?").status_code == 404
    assert say(client, 10**30, "Hello?").status_code == 404
    assert client.post("/sessions/77/summary").status_code == 404


def test_turns_of_one_moment_are_taken_one_after_the_other(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    contents = [f"{number}?" for number in range(8)]

    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda content: say(client, session_id, content), contents))

    assert {response.status_code for response in responses} == {200}
    assert provider.max_running == 1
    told = thread(client, session_id)
    assert [role for role, _ in told] == ["user", "assistant"] * 8
    for (_, said), (_, reply) in zip(told[::2], told[1::2], strict=True):
        assert reply.startswith(f"answer to {said} ")
    shown = [len(call.messages or ()) for call in provider.calls]
    assert shown == [0, 2, 4, 6, 8, 10, 12, 14]


def test_who_would_wait_for_too_long_gets_a_conflict_and_has_said_nothing(
    start: Callable[..., Service], provider: FakeProvider
) -> None:
    service = start(deadline=2)
    client = service.client
    session_id = begin(client)["id"]
    entry = service.process.turnstile.enter(
        "default", session_id, Deadline.after(60, SystemClock())
    )
    lease = entry.result(10)

    refused = say(client, session_id, "Two?")
    service.process.turnstile.leave(lease)
    taken = say(client, session_id, "Three?")

    assert (refused.status_code, refused.json()["type"]) == (409, "conflict")
    assert refused.headers["retry-after"] == "2"
    assert taken.status_code == 200
    assert [one.text for one in provider.calls] == ["Three?"]
    assert [role for role, _ in thread(client, session_id)] == ["user", "assistant"]


def test_a_session_can_be_deleted_in_the_middle_of_a_turn_and_nothing_comes_back(
    service: Service, provider: FakeProvider
) -> None:
    client = service.client
    session_id = begin(client)["id"]
    provider.hold()

    with ThreadPoolExecutor(1) as threads:
        turn = threads.submit(say, client, session_id, "A secret?")
        provider.wait_for_calls(1)
        assert client.delete(f"/sessions/{session_id}").status_code == 204
        provider.let_go()
        response = turn.result()

    assert response.status_code == 404
    with service.process.database.reading() as tx:
        from sqlalchemy import func, select

        from askonce.db.rows import AnswerRow, MessageRow

        for table in (AnswerRow, MessageRow):
            assert tx.connection.scalar(select(func.count()).select_from(table)) == 0


def test_a_key_makes_a_turn_safe_to_repeat(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    key = {"Idempotency-Key": "turn-1"}

    first = say(client, session_id, "One?", headers=key)
    say(client, session_id, "Two?")
    again = say(client, session_id, "One?", headers=key)

    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(provider.calls) == 2
    assert len(thread(client, session_id)) == 4


def test_a_key_resumes_a_turn_that_failed(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    provider.will(UNAVAILABLE)
    key = {"Idempotency-Key": "turn-1"}

    failed = say(client, session_id, "One?", headers=key)
    resumed = say(client, session_id, "One?", headers=key)

    assert (failed.status_code, resumed.status_code) == (504, 200)
    assert "idempotent-replayed" not in resumed.headers
    assert len(thread(client, session_id)) == 2


def test_two_requests_with_one_key_are_one_turn(
    client: TestClient, provider: FakeProvider, session_id: int
) -> None:
    key = {"Idempotency-Key": "turn-1"}

    with ThreadPoolExecutor(4) as threads:
        replies = list(
            threads.map(lambda _: say(client, session_id, "One?", headers=key), range(4))
        )

    assert len({reply.content for reply in replies}) == 1
    assert len(provider.calls) == 1
    assert len(thread(client, session_id)) == 2


def test_a_key_counts_for_one_message_in_one_session(client: TestClient, session_id: int) -> None:
    key = {"Idempotency-Key": "turn-1"}
    say(client, session_id, "One?", headers=key)

    other_words = say(client, session_id, "Two?", headers=key)
    elsewhere = say(client, begin(client)["id"], "One?", headers=key)

    assert other_words.json()["type"] == elsewhere.json()["type"] == "idempotency-mismatch"


def test_after_the_session_was_deleted_its_keys_say_so(client: TestClient) -> None:
    begun = client.post("/sessions", json={"title": "x"}, headers={"Idempotency-Key": "s"}).json()
    client.delete(f"/sessions/{begun['id']}")

    again = client.post("/sessions", json={"title": "x"}, headers={"Idempotency-Key": "s"})

    assert (again.status_code, again.json()["type"]) == (410, "deleted")


def test_a_session_is_begun_once_for_each_key(client: TestClient) -> None:
    body = {"title": "Capitals", "user_id": "ann", "prompt": "One?"}
    key = {"Idempotency-Key": "begin-1"}

    first = client.post("/sessions", json=body, headers=key)
    say(client, first.json()["id"], "One?")
    again = client.post("/sessions", json=body, headers=key)

    assert again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert len(client.get("/sessions").json()["items"]) == 1


def test_an_import_is_brought_in_once_for_each_key(client: TestClient, session_id: int) -> None:
    body = {"role": "assistant", "content": "Hello!"}
    key = {"Idempotency-Key": "in-1"}
    path = f"/sessions/{session_id}/messages"

    first = client.post(path, json=body, headers=key)
    say(client, session_id, "One?")
    again = client.post(path, json=body, headers=key)

    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(thread(client, session_id)) == 3


class TestLongThreads:
    """A window of a thousand tokens, and messages of a hundred each."""

    @pytest.fixture
    def narrow(self, start: Callable[..., Service]) -> TestClient:
        return start(context_tokens={"*": 1000}, max_output_tokens=100).client

    def fill(self, client: TestClient, session_id: int, turns: int) -> list[dict[str, Any]]:
        replies = []
        for number in range(turns):
            response = say(client, session_id, f"{number} " + "word " * 40)
            assert response.status_code == 200, response.text
            replies.append(response.json()["messages"][-1])
        return replies

    def test_the_oldest_messages_are_summarised_and_nothing_is_left_out(
        self, narrow: TestClient, provider: FakeProvider
    ) -> None:
        session_id = begin(narrow)["id"]

        replies = self.fill(narrow, session_id, 12)

        told = [one["context"] for one in replies]
        assert [context["messages_sent"] + context["messages_summarised"] for context in told] == [
            2 * number + 1 for number in range(12)
        ]
        assert told[-1]["messages_summarised"] > 0
        summaries = [call for call in provider.calls if call.output_schema is None]
        assert 0 < len(summaries) < 8
        last = provider.calls[-1]
        assert last.messages is not None
        assert "Summary of what was said before" in last.messages[0].content
        assert summaries[-1].text.startswith("Summarise")
        newest = [content for role, content in thread(narrow, session_id) if role != "summary"]
        shown = [one.content for one in last.messages[1:]] + [last.text]
        assert shown == newest[:-1][-len(shown) :]

    def test_a_summary_is_shown_in_the_thread_and_made_once(
        self, narrow: TestClient, provider: FakeProvider
    ) -> None:
        session_id = begin(narrow)["id"]
        self.fill(narrow, session_id, 9)

        made = [content for role, content in thread(narrow, session_id) if role == "summary"]
        calls = [call for call in provider.calls if call.output_schema is None]

        assert len(made) == len(calls) > 0
        exported = narrow.get(f"/sessions/{session_id}?format=jsonl").text.splitlines()
        assert len(exported) == 18

    def test_a_wider_model_is_shown_every_word_again(self, start: Callable[..., Service]) -> None:
        service = start(
            context_tokens={"claude-haiku-5-5": 1000, "wide": 100_000}, max_output_tokens=100
        )
        session_id = begin(service.client)["id"]
        self.fill(service.client, session_id, 9)

        reply = say(service.client, session_id, "And now?", model="wide").json()["messages"][-1]

        assert reply["context"] == {"messages_sent": 19, "messages_summarised": 0}

    def test_a_model_that_takes_less_than_we_think_is_shown_less(
        self, client: TestClient, provider: FakeProvider
    ) -> None:
        session_id = begin(client)["id"]
        self.fill(client, session_id, 9)
        provider.will(InputTooLongError("claude", "input-too-long"))

        reply = say(client, session_id, "And now?").json()["messages"][-1]
        calls = len(provider.calls)
        later = say(client, session_id, "And then?").json()["messages"][-1]

        assert reply["content"].startswith("answer to And now?")
        assert reply["context"]["messages_summarised"] > 0
        assert later["context"]["messages_summarised"] == reply["context"]["messages_summarised"]
        assert len(provider.calls) == calls + 1

    def test_what_is_too_long_in_itself_is_said_to_be(
        self, client: TestClient, provider: FakeProvider, session_id: int
    ) -> None:
        provider.will(InputTooLongError("claude", "input-too-long"))

        response = say(client, session_id, "word " * 100)

        assert (response.status_code, response.json()["type"]) == (422, "input-too-long")
        assert len(provider.calls) == 1


class TestSummaries:
    def test_a_summary_is_kept_until_something_more_is_said(
        self, client: TestClient, provider: FakeProvider, session_id: int
    ) -> None:
        say(client, session_id, "One?")
        path = f"/sessions/{session_id}/summary"

        first, again = client.post(path), client.post(path)
        say(client, session_id, "Two?")
        later = client.post(path)

        summary = first.json()
        assert (first.status_code, summary["role"]) == (200, "summary")
        assert summary["content"].startswith("answer to Summarise")
        assert (summary["cached"], again.json()["cached"]) == (False, True)
        assert again.json()["id"] == summary["id"]
        assert again.headers["cache-status"] == "askonce; hit"
        assert summary["context"] == {"messages_sent": 2, "messages_summarised": 0}
        assert later.json()["id"] != summary["id"]
        assert len(provider.calls) == 4
        assert [role for role, _ in thread(client, session_id)].count("summary") == 2

    def test_a_summary_is_asked_with_the_thread_and_not_in_json(
        self, client: TestClient, provider: FakeProvider, session_id: int
    ) -> None:
        say(client, session_id, "One?")

        client.post(f"/sessions/{session_id}/summary", json={})

        call = provider.calls[-1]
        assert [one.content for one in call.messages or ()] == ["One?", "answer to One? #1"]
        assert call.output_schema is None

    def test_a_summary_can_be_streamed(self, client: TestClient, session_id: int) -> None:
        say(client, session_id, "One?")
        path = f"/sessions/{session_id}/summary"

        for _ in range(2):
            response = client.post(path, headers={"Accept": "text/event-stream"})
            *deltas, (last, done) = events(response.text)
            assert last == "done"
            assert "".join(data["text"] for _, data in deltas) == done["content"]

    def test_a_summary_is_made_anew_for_who_wants_no_cache(
        self, client: TestClient, provider: FakeProvider, session_id: int
    ) -> None:
        say(client, session_id, "One?")
        path = f"/sessions/{session_id}/summary"
        client.post(path)

        anew = client.post(path, headers={"Cache-Control": "no-cache"})
        standing = client.post(path)

        assert anew.json()["cached"] is False
        assert standing.json()["id"] == anew.json()["id"]
        assert len(provider.calls) == 3

    def test_there_is_no_summary_of_nothing(self, client: TestClient, session_id: int) -> None:
        response = client.post(f"/sessions/{session_id}/summary")

        assert response.status_code == 422

    def test_identical_threads_are_summarised_once(
        self, client: TestClient, provider: FakeProvider
    ) -> None:
        sessions = [begin(client)["id"], begin(client)["id"]]
        for session_id in sessions:
            say(client, session_id, "One?")
            client.post(f"/sessions/{session_id}/summary")

        assert len(provider.calls) == 2

    def test_a_key_makes_a_summary_safe_to_repeat(
        self, client: TestClient, provider: FakeProvider, session_id: int
    ) -> None:
        say(client, session_id, "One?")
        headers = {"Idempotency-Key": "sum-1", "Cache-Control": "no-cache"}

        first = client.post(f"/sessions/{session_id}/summary", headers=headers)
        again = client.post(f"/sessions/{session_id}/summary", headers=headers)

        assert again.content == first.content
        assert again.headers["idempotent-replayed"] == "true"
        assert len(provider.calls) == 2

    def test_a_body_says_nothing(self, client: TestClient, session_id: int) -> None:
        response = client.post(f"/sessions/{session_id}/summary", json={"length": 3})

        assert response.status_code == 422
