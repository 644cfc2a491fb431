"""The console's pages, as a browser on this machine sees them, where no key was made."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from askonce.core.errors import ProviderRejectedError
from tests.fakes.provider import FakeProvider
from tests.http.browsing import Browser, text_of
from tests.http.conftest import Service
from tests.http.test_books import trail

PAGES = [
    "/",
    "/console/conversations",
    "/console/history",
    "/console/usage",
    "/console/live",
    "/console/audit",
]
CONVERSATION = "/console/conversations/1"
# All that takes a form, with what each of them says when nothing is wrong.
FORMS: dict[str, dict[str, str]] = {
    "/console/ask": {"text": "What is a cache?", "user": "ann"},
    "/console/conversations": {"title": "Caches", "user": "ann"},
    f"{CONVERSATION}/messages": {"content": "What is a cache?"},
    f"{CONVERSATION}/rename": {"title": "Caches"},
    f"{CONVERSATION}/delete": {},
    "/console/history/1/delete": {},
    "/console/sign-in": {"key": "ask_"},
    "/console/sign-out": {},
}
HOSTILE = (
    "<img src=x onerror=alert(1)> </script><script>alert(2)</script> [x](javascript:alert(3))"
    ' ![](https://evil.example/?q=1) &lt;b&gt; {{ 7 * 7 }} \u202egnp.exe\u2066 " onfocus="alert(4)'
)


@pytest.fixture
def browser(service: Service) -> Browser:
    return Browser(service.app)


@pytest.fixture
def sqlite_browser(sqlite_service: Service) -> Browser:
    return Browser(sqlite_service.app)


@pytest.fixture
def sqlite_service(sqlite_url: str, provider: FakeProvider) -> Any:
    service = Service(sqlite_url, provider)
    with service.client:
        yield service
        provider.let_go()


def events(response: Any) -> list[tuple[str, Any]]:
    """Return the server-sent events of an answer."""
    blocks = [block.split("\n") for block in response.text.strip().split("\n\n")]
    return [
        (lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: ")))
        for lines in blocks
        if lines[0].startswith("event: ")
    ]


def begin(browser: Browser, title: str = "Caches") -> None:
    page = "/console/conversations?user=ann"
    begun = browser.submit("/console/conversations", on=page, title=title, user="ann")
    assert (begun.status_code, begun.headers["location"]) == (303, CONVERSATION)


def test_pages_let_nothing_in_from_elsewhere_and_run_nothing_inline(
    sqlite_browser: Browser,
) -> None:
    begin(sqlite_browser)
    for path in [*PAGES, CONVERSATION, "/console/live/levels", "/console/history?since=x"]:
        page = sqlite_browser.open(path)
        headers = page.headers
        [policy] = headers.get_list("content-security-policy")
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

        assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == "'none'"
        assert {rules[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
        assert headers["cache-control"] == "private, no-store"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert not any(word in page.text for word in (" style=", "<style", "hx-on", "//cdn"))
        assert page.text.count("<script") == page.text.count("<script src=")


def test_the_first_page_shows_an_example_that_needs_no_key(sqlite_browser: Browser) -> None:
    page = text_of(sqlite_browser.open("/"))

    assert "curl -i http://localhost/analyze/anonymous" in page
    assert "No key is needed" in page
    assert "embedded model" not in page


def test_it_is_said_plainly_that_the_embedded_model_is_small(
    start: Callable[..., Service],
) -> None:
    page = text_of(Browser(start(provider="local").app).open("/"))

    assert "It is small" in page
    assert "for trying things out" in page


def test_an_answer_tells_whether_it_is_a_hit_and_what_it_took(browser: Browser) -> None:
    asked = FORMS["/console/ask"]

    miss = browser.submit("/console/ask", **asked)
    hit = browser.submit("/console/ask", **asked)
    anew = browser.submit("/console/ask", **asked, refresh="on")

    assert "answer to What is a cache? #1" in text_of(miss)
    assert "asked the model" in text_of(miss)
    assert "$0.000123" in text_of(miss)
    assert "from the cache" in text_of(hit)
    assert "Saved" in text_of(hit)
    assert "Fresh for" in text_of(hit)
    assert "#2" in text_of(anew)
    assert hit.headers["cache-status"].startswith("askonce; hit")


def test_an_answer_streams_and_ends_with_what_is_shown_of_it(browser: Browser) -> None:
    streamed = browser.submit("/console/ask", accept="text/event-stream", **FORMS["/console/ask"])

    found = events(streamed)
    said = "".join(data["text"] for name, data in found if name == "delta")
    assert said == "answer to What is a cache? #1"
    name, last = found[-1]
    assert name == "done"
    assert said in last["html"]


@pytest.mark.parametrize("accept", ["text/html", "text/event-stream"])
def test_a_form_that_is_sent_twice_is_paid_for_once(
    browser: Browser, provider: FakeProvider, accept: str
) -> None:
    token = browser.token("/")
    fields = {"csrf": token, "once": browser.once(), "refresh": "on", **FORMS["/console/ask"]}

    for _ in range(2):
        assert browser.send("/console/ask", fields, accept=accept).status_code == 200
    changed = browser.send("/console/ask", fields | {"text": "Another?"}, accept=accept)

    assert changed.status_code == 200
    assert [call.text for call in provider.calls] == ["What is a cache?", "Another?"]
    items = browser.client.get("/history/ann").json()["items"]
    assert [item["text"] for item in items] == ["Another?", "What is a cache?"]


def test_a_message_that_is_sent_twice_is_said_once(
    browser: Browser, provider: FakeProvider
) -> None:
    begin(browser)
    fields = {"csrf": browser.token(CONVERSATION), "once": browser.once(), "content": "Hello?"}

    for _ in range(2):
        assert browser.send(f"{CONVERSATION}/messages", fields).status_code == 303

    assert len(provider.calls) == 1
    assert browser.client.get("/sessions/1").json()["message_count"] == 2


def test_a_message_that_is_to_be_answered_after_all_is_answered_once(
    browser: Browser, provider: FakeProvider
) -> None:
    begin(browser)
    provider.will(ProviderRejectedError("claude", "http-401"))
    messages = f"{CONVERSATION}/messages"
    assert browser.submit(messages, on=CONVERSATION, content="Hello?").status_code == 502
    form = re.search(
        r"<form[^>]*>(?:(?!</form>).)*Have it answered", browser.open(CONVERSATION).text, re.DOTALL
    )
    assert form is not None
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0]))

    # A double click.
    for _ in range(2):
        assert browser.send(messages, fields).status_code == 303

    assert browser.client.get("/sessions/1").json()["message_count"] == 2
    assert len(provider.calls) == 2


def test_the_console_asks_what_any_other_client_asks(browser: Browser) -> None:
    text = "Two lines:\r\nas a browser sends them"

    browser.client.post("/analyze/bob", json={"text": text.replace("\r\n", "\n")})
    asked = browser.submit("/console/ask", text=text, user="ann")

    assert "from the cache" in text_of(asked)


def test_a_conversation_is_begun_answered_renamed_and_deleted(browser: Browser) -> None:
    begin(browser)
    browser.submit(f"{CONVERSATION}/messages", on=CONVERSATION, content="Hello?")
    streamed = browser.submit(
        f"{CONVERSATION}/messages", on=CONVERSATION, accept="text/event-stream", content="And?"
    )
    browser.submit(f"{CONVERSATION}/rename", on=CONVERSATION, title="Greetings")

    page = text_of(browser.open(CONVERSATION))
    assert all(words in page for words in ("Greetings", "answer to Hello? #1", "75 %", "$0.000123"))
    assert events(streamed)[-1][0] == "done"
    deleted = browser.submit(f"{CONVERSATION}/delete", on=CONVERSATION, user="ann")
    assert deleted.headers["location"] == "/console/conversations?user=ann"
    assert browser.open(CONVERSATION).status_code == 404


def test_the_history_is_searched_paged_deleted_and_exported(browser: Browser) -> None:
    for number in range(3):
        browser.client.post("/analyze/ann", json={"text": f"text {number} of many"})
    listed = browser.open("/console/history?user=ann&q=many&limit=2")
    older = listed.text.partition('hx-get="/console/history?')[2].partition('"')[0]

    page = browser.open("/console/history?" + older.replace("&amp;", "&"), hx_request="true")
    csrf = {"csrf": browser.token("/console/history?user=ann")}
    gone = browser.send("/console/history/1/delete", csrf, hx_request="true")
    exported = browser.open("/console/history/export?user=ann")

    assert ("text 2" in listed.text, "text 0" in listed.text) == (True, False)
    assert "text 0 of many" in page.text
    assert "<html" not in page.text
    assert (gone.status_code, gone.text) == (200, "")
    kinds = [json.loads(line)["kind"] for line in exported.text.splitlines()]
    assert kinds.count("analysis") == 2
    assert "attachment" in exported.headers["content-disposition"]


def test_usage_and_live_show_what_was_done(browser: Browser) -> None:
    for _ in range(3):
        browser.client.post("/analyze/ann", json={"text": "What is a cache?"})

    usage = text_of(browser.open("/console/usage?user=ann"))
    live = text_of(browser.open("/console/live"))

    assert all(words in usage for words in ("67 %", "$0.000123", "$0.000246", "claude"))
    assert "Call slots in use" in live
    assert "closed" in live


@pytest.mark.parametrize("way", ["page", "stream"])
def test_what_users_and_models_say_is_never_a_part_of_the_page(
    browser: Browser, provider: FakeProvider, way: str
) -> None:
    accept = "text/html" if way == "page" else "text/event-stream"
    reply = json.dumps({"content": HOSTILE, "confidence": 0.5})
    provider.will(HOSTILE, reply)
    begin(browser, HOSTILE[:150])
    asked = browser.submit("/console/ask", text=HOSTILE, user="ann", accept=accept)
    said = browser.submit(
        f"{CONVERSATION}/messages", on=CONVERSATION, content=HOSTILE, accept=accept
    )

    parts = [browser.open(path).text for path in (*(p + "?user=ann" for p in PAGES), CONVERSATION)]
    parts += [events(one)[-1][1]["html"] for one in (asked, said) if way == "stream"]
    parts += [asked.text] if way == "page" else []

    for part in parts:
        lowered = part.lower()
        assert "<img" not in lowered
        assert "<script>" not in lowered
        assert 'href="javascript' not in lowered
        assert '" onfocus' not in lowered
        assert "evil.example/" not in lowered or "<img" not in lowered
    assert any("&lt;img src=x onerror=alert(1)&gt;" in part for part in parts)


ODD: dict[str, list[tuple[str, str]]] = {
    "NUL": [("text", "\x00"), ("title", "a\x00b"), ("content", "\x00"), ("model", "\x00")],
    "nothing": [("text", ""), ("title", " "), ("content", "")],
    "too much": [("text", "x" * 200_001), ("title", "x" * 201), ("content", "x" * 200_001)],
    "nobody": [("user", "../etc"), ("user", "a b"), ("user", "x" * 129)],
    "no such thing": [("provider", "nobody"), ("model", "<b>"), ("max_output_tokens", "-1")],
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_values_in_forms_are_named_on_a_page(sqlite_browser: Browser, odd: str) -> None:
    begin(sqlite_browser)
    token = sqlite_browser.token("/")
    told = set()
    for path, fields in FORMS.items():
        if path.endswith(("delete", "sign-out", "sign-in")):
            continue
        for name, value in ODD[odd]:
            if name in fields or path == "/console/ask":
                answered = sqlite_browser.send(path, {"csrf": token, **fields, name: value})
                assert answered.status_code < 500, (path, name, answered.text)
                if answered.status_code >= 400:
                    assert answered.headers["content-type"].startswith("text/html")
                    told.add(name)

    assert told >= {name for name, _ in ODD[odd]} - {"user"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"text=%ED%A0%80&user=ann", "application/x-www-form-urlencoded"),
        (b"text=%FF", "application/x-www-form-urlencoded"),
        (b"text=\xff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % number for number in range(99)), "application/x-www-form-urlencoded"),
        (b'{"text": "x"}', "application/json"),
        (b"text=x", "text/plain"),
        (b"text=x", ""),
        (b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nx\r\n--x--',
         "multipart/form-data; boundary=x"),
        (b"text=" + b"x" * 1_100_000, "application/x-www-form-urlencoded"),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(
    sqlite_browser: Browser, provider: FakeProvider, body: bytes, content_type: str
) -> None:
    token = sqlite_browser.token("/")
    headers = {"origin": sqlite_browser.origin, "x-csrf-token": token}
    headers |= {"content-type": content_type} if content_type else {}

    for path in FORMS:
        answered = sqlite_browser.client.post(path, content=body, headers=headers)
        assert 400 <= answered.status_code < 500, (path, answered.text)
    assert provider.calls == []


@pytest.mark.parametrize(
    "address",
    [
        "/?user=%00",
        "/?example=%D9%A3",
        "/?example=99999999999",
        "/console/history?cursor=x",
        "/console/history?since=yesterday&user=ann",
        "/console/history?limit=0",
        "/console/history?provider=%00",
        "/console/history?q=%ED%A0%80",
        "/console/history/export?user=%F0%9F%98%80",
        "/console/usage?until=x",
        "/console/usage?since=0001-01-01",
        "/console/audit?action=dance",
        "/console/audit?user_id=%00",
        "/console/conversations?cursor=x",
        f"/console/conversations/{'9' * 19}",
        f"/console/conversations/{'9' * 400}",
        "/console/conversations/+1",
        "/console/conversations/1?cursor=x",
    ],
)
def test_odd_addresses_are_no_error_of_ours(sqlite_browser: Browser, address: str) -> None:
    answered = sqlite_browser.open(address)

    assert answered.status_code < 500, answered.text
    assert answered.headers["content-type"].startswith("text/html")


def test_a_failure_is_shown_where_the_answer_would_be(
    browser: Browser, provider: FakeProvider
) -> None:
    provider.will(*[ProviderRejectedError("claude", "http-401")] * 2)

    page = browser.submit("/console/ask", **FORMS["/console/ask"])
    streamed = browser.submit("/console/ask", accept="text/event-stream", **FORMS["/console/ask"])

    assert page.status_code == 502
    assert "refuses" in text_of(page)
    problem = streamed.json() if streamed.status_code == 502 else events(streamed)[-1][1]
    assert problem["type"] == "provider-rejected"


def test_limits_count_a_page_as_they_count_a_request(start: Callable[..., Service]) -> None:
    browser = Browser(start(rate_limit="3/hour").app)

    statuses = [browser.open("/console/history?user=ann").status_code for _ in range(4)]
    refused = browser.open("/console/usage?user=ann")

    assert statuses == [200, 200, 200, 429]
    assert int(refused.headers["retry-after"]) > 0
    assert browser.open("/console/live/levels").status_code == 200


def test_with_another_name_in_host_nobody_is_let_in_without_a_key(sqlite_browser: Browser) -> None:
    for path in PAGES:
        assert sqlite_browser.open(path, host="evil.example").status_code == 401


def test_a_trail_of_the_console_names_its_requests(service: Service) -> None:
    browser = Browser(service.app)

    browser.submit("/console/ask", **FORMS["/console/ask"])
    browser.open("/console/history?user=ann")
    browser.submit("/console/history/1/delete", user="ann")
    browser.open("/console/history/export?user=ann")

    told = [(one.event.action.value, one.event.user_id) for one in trail(service)]
    assert told == [
        ("call", "ann"),
        ("analyze", "ann"),
        ("history.read", "ann"),
        ("history.delete", "ann"),
        ("user.export", "ann"),
    ]
