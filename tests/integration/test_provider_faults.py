"""What providers do wrong, done for real by the stub: on the wire, and in the database."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from tests.databases import SqliteTemplates
from tests.integration.product import KEY, Product
from tests.ports import number_of, reserved_port
from tests.serving import until
from tests.stub.client import StubProvider

DEADLINE_SECONDS = 60

Start = Callable[..., Product]

both_vendors = pytest.mark.parametrize("vendor", ["claude", "openai"])
both_ways = pytest.mark.parametrize("way", ["plain", "streamed"])

# What comes instead of an answer: how each try ends, and how many are made of three.
FAULTS = [
    ("500", "failed", "http-500", 3),
    ("502", "failed", "http-502", 3),
    ("503", "failed", "http-503", 3),
    ("529", "failed", "http-529", 3),
    ("reset", "unknown", "cut", 2),
    ("html", "unknown", "malformed", 2),
    ("shapeless", "unknown", "malformed", 2),
    ("blank", "unknown", "empty", 2),
]
# The same with an answer that is not streamed, and breaks off in the middle.
PLAIN_FAULTS = [
    ("malformed", "unknown", "malformed", 2),
    ("cut", "unknown", "cut", 2),
    ("cut-politely", "unknown", "cut", 2),
]
# A stream of one word breaks off before it.
EARLY_FAULTS = [
    ("cut text=a", "unknown", "cut"),
    ("cut-politely text=a", "unknown", "cut"),
    ("malformed text=a", "unknown", "malformed"),
    ("error-event text=a", "failed", {"claude": "overloaded", "openai": "server-error"}),
]
# And one of several words after the first.
LATE_FAULTS = [
    ("cut", "cut"),
    ("cut-politely", "cut"),
    ("malformed", "malformed"),
    ("error-event", {"claude": "overloaded", "openai": "server-error"}),
]


@pytest.fixture(scope="module")
def start(sqlite_templates: SqliteTemplates, running_stub: StubProvider) -> Iterator[Start]:
    """Return a function that starts the product, once for the same settings."""
    known: dict[str, Product] = {}
    with ExitStack() as running:

        def start(**changes: Any) -> Product:
            product = known.get(repr(changes))
            if product is None:
                product = Product(sqlite_templates.copy(), running_stub, **changes)
                running.enter_context(product.client)
                known[repr(changes)] = product
            return product

        yield start


@pytest.fixture(scope="module")
def nowhere() -> Iterator[str]:
    """Return a URL where nobody answers."""
    with reserved_port() as closed:
        yield f"http://127.0.0.1:{number_of(closed)}"


@pytest.fixture
def product(start: Start) -> Product:
    return start()


@pytest.fixture
def text(request: pytest.FixtureRequest) -> str:
    """Return a text that no other test asks about."""
    return f"What is {request.node.nodeid}?"


def attempts_since(product: Product, before: int) -> list[tuple[str, str, str | None]]:
    return product.attempts()[before:]


def reason_of(reason: str | dict[str, str], vendor: str) -> str:
    return reason if isinstance(reason, str) else reason[vendor]


@both_vendors
@pytest.mark.parametrize(
    ("way", "fault", "outcome", "reason"),
    [
        ("plain", "529", "failed", "http-529"),
        *(("plain", *fault[:3]) for fault in PLAIN_FAULTS),
        ("streamed", "529", "failed", "http-529"),
        ("streamed", "blank", "unknown", "empty"),
        *(("streamed", *fault) for fault in EARLY_FAULTS),
    ],
)
def test_a_failed_try_is_followed_by_another_whose_answer_is_kept(
    product: Product,
    stub: StubProvider,
    text: str,
    *,
    vendor: str,
    way: str,
    fault: str,
    outcome: str,
    reason: str | dict[str, str],
) -> None:
    before = len(product.attempts())
    stub.will(fault, "ok text=Well again.")

    answered = product.ask(text, way=way, provider=vendor)
    again = product.ask(text, provider=vendor)

    assert answered.answer is not None
    assert answered.answer["result"] == "Well again."
    assert answered.words == ("Well again." if way == "streamed" else "")
    assert again.answer is not None
    assert again.answer["cached"] is True
    assert len(stub.calls()) == 2
    assert attempts_since(product, before) == [
        (vendor, outcome, reason_of(reason, vendor)),
        (vendor, "answered", None),
    ]


@both_vendors
@pytest.mark.parametrize(
    ("way", "fault", "outcome", "reason", "tries"),
    [
        *(("plain", *fault) for fault in FAULTS + PLAIN_FAULTS),
        *(("streamed", *fault) for fault in FAULTS),
    ],
)
def test_a_provider_that_fails_each_time_is_given_up_and_nothing_is_cached(
    product: Product,
    stub: StubProvider,
    text: str,
    *,
    vendor: str,
    way: str,
    fault: str,
    outcome: str,
    reason: str,
    tries: int,
) -> None:
    before = len(product.attempts())
    stub.will(*[fault] * tries)

    refused = product.ask(text, way=way, provider=vendor)

    assert refused.problem == "provider-exhausted"
    assert refused.words == ""
    assert len(stub.calls()) == tries
    assert attempts_since(product, before) == [(vendor, outcome, reason)] * tries
    assert product.answers(text) == 0


@both_vendors
def test_clients_of_the_vendors_are_told_not_to_retry(
    product: Product, stub: StubProvider, text: str, vendor: str
) -> None:
    stub.will("503", "503", "503")

    refused = product.ask(text, provider=vendor)

    assert refused.headers["x-should-retry"] == "false"


@both_vendors
@both_ways
def test_a_provider_that_says_nothing_is_asked_twice_and_given_up(
    start: Start, stub: StubProvider, text: str, vendor: str, way: str
) -> None:
    product = start(provider_timeout=0.3)
    before = len(product.attempts())
    stub.will("hang", "hang", "hang")

    refused = product.ask(text, way=way, provider=vendor)

    assert refused.problem == "provider-exhausted"
    assert attempts_since(product, before) == [(vendor, "unknown", "timeout")] * 2
    assert product.answers(text) == 0


@both_vendors
@both_ways
def test_a_provider_that_cannot_be_reached_is_tried_three_times(
    start: Start, nowhere: str, text: str, vendor: str, way: str
) -> None:
    product = start(anthropic_base_url=nowhere, openai_base_url=nowhere)
    before = len(product.attempts())

    refused = product.ask(text, way=way, provider=vendor)

    assert refused.problem == "provider-exhausted"
    assert attempts_since(product, before) == [(vendor, "failed", "connect")] * 3
    assert product.answers(text) == 0


@both_vendors
@both_ways
def test_a_wait_that_the_provider_asks_for_is_kept(
    product: Product, stub: StubProvider, text: str, vendor: str, way: str
) -> None:
    before, waits = len(product.attempts()), len(product.clock.waits)
    stub.will("429 retry-after=2")

    answered = product.ask(text, way=way, provider=vendor)

    assert answered.answer is not None
    assert product.clock.waits[waits:] == [2.0]
    assert attempts_since(product, before) == [
        (vendor, "failed", "http-429"),
        (vendor, "answered", None),
    ]


@both_vendors
@both_ways
def test_a_wait_that_would_pass_the_deadline_is_not_begun(
    product: Product, stub: StubProvider, text: str, vendor: str, way: str
) -> None:
    before, waits = len(product.attempts()), len(product.clock.waits)
    stub.will("429 retry-after=3600")

    refused = product.ask(text, way=way, provider=vendor)

    assert refused.problem == "provider-exhausted"
    assert refused.headers.get("retry-after", "3600") == "3600"
    assert product.clock.waits[waits:] == []
    assert attempts_since(product, before) == [(vendor, "failed", "http-429")]


@both_ways
def test_somebody_else_is_asked_at_once_where_a_wait_would_be_too_long(
    start: Start, stub: StubProvider, text: str, way: str
) -> None:
    product = start(fallbacks=("openai",))
    before = len(product.attempts())
    stub.will("429 retry-after=3600")

    answered = product.ask(text, way=way)
    again = product.ask(text)

    assert answered.answer is not None
    assert (answered.answer["provider"], answered.answer["model"]) == ("openai", "gpt-6-luna")
    assert [call["path"] for call in stub.calls()] == ["/v1/messages", "/v1/responses"]
    assert stub.calls()[1]["body"]["model"] == "gpt-6-luna"
    assert again.answer is not None
    assert again.answer["cached"] is True
    assert product.clock.waits == []
    assert attempts_since(product, before) == [
        ("claude", "failed", "http-429"),
        ("openai", "answered", None),
    ]


@pytest.mark.parametrize("fault", ["cut", "cut-politely", "error-event", "malformed"])
def test_nobody_else_is_asked_once_a_stream_has_begun(
    start: Start, stub: StubProvider, text: str, fault: str
) -> None:
    product = start(fallbacks=("openai",))
    stub.will(fault)

    refused = product.ask(text, way="streamed")

    assert refused.problem == "provider-exhausted"
    assert refused.words
    assert len(stub.calls()) == 1


@both_vendors
@both_ways
@pytest.mark.parametrize("status", ["401", "403"])
def test_a_refused_key_is_tried_once_and_stands_nowhere(
    product: Product,
    stub: StubProvider,
    text: str,
    capfd: pytest.CaptureFixture[str],
    *,
    vendor: str,
    way: str,
    status: str,
) -> None:
    before = len(product.attempts())
    stub.will(status)

    refused = product.ask(text, way=way, provider=vendor)

    shown = "".join([refused.body, str(refused.headers), *capfd.readouterr()])
    assert refused.problem == "provider-rejected"
    assert len(stub.calls()) == 1
    assert KEY in str(stub.calls()[0]["headers"])
    assert "provider_gave_up" in shown
    assert not any(secret in shown for secret in (KEY, "secret words", text))
    assert attempts_since(product, before) == [(vendor, "failed", f"http-{status}")]
    assert product.answers(text) == 0


@both_vendors
@both_ways
def test_a_text_that_is_too_long_is_tried_once(
    product: Product, stub: StubProvider, text: str, vendor: str, way: str
) -> None:
    before = len(product.attempts())
    stub.will("too-long")

    refused = product.ask(text, way=way, provider=vendor)

    assert refused.problem == "input-too-long"
    assert len(stub.calls()) == 1
    assert attempts_since(product, before) == [(vendor, "failed", "input-too-long")]
    assert product.answers(text) == 0


@both_vendors
@pytest.mark.parametrize(("fault", "reason"), LATE_FAULTS)
def test_a_stream_that_breaks_off_ends_in_an_error_and_is_never_cached(
    product: Product,
    stub: StubProvider,
    text: str,
    *,
    vendor: str,
    fault: str,
    reason: str | dict[str, str],
) -> None:
    before = len(product.attempts())
    stub.will(fault)

    refused = product.ask(text, way="streamed", provider=vendor)

    assert refused.problem == "provider-exhausted"
    assert "answer to ".startswith(refused.words[:7])
    assert refused.words
    assert len(stub.calls()) == 1
    assert attempts_since(product, before) == [(vendor, "unknown", reason_of(reason, vendor))]
    assert product.answers(text) == 0


@both_vendors
@both_ways
@pytest.mark.parametrize("end", ["refusal", "length"])
def test_a_refusal_and_a_cut_answer_are_given_and_stored_but_not_served_again(
    product: Product, stub: StubProvider, text: str, *, vendor: str, way: str, end: str
) -> None:
    before = len(product.attempts())
    stub.will(end)

    answered = product.ask(text, way=way, provider=vendor)
    again = product.ask(text, provider=vendor)

    assert answered.answer is not None
    assert again.answer is not None
    assert answered.answer["finish_reason"] == end
    assert (again.answer["finish_reason"], again.answer["cached"]) == ("stop", False)
    assert "stored" not in answered.headers["cache-status"]
    assert attempts_since(product, before) == [(vendor, "answered", None)] * 2
    assert product.answers(text) == 2


@both_vendors
@pytest.mark.parametrize(
    ("way", "fault"),
    [
        ("plain", "trickle every=0.05"),
        ("plain", "trickle-head every=0.05"),
        ("streamed", "trickle every=0.05"),
        ("streamed", "trickle-head every=0.05"),
        ("streamed", "pings every=0.05"),
    ],
)
def test_a_trickle_ends_at_the_deadline(
    product: Product, stub: StubProvider, text: str, *, vendor: str, way: str, fault: str
) -> None:
    before = len(product.attempts())
    stub.will(fault)

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(product.ask, text, way=way, provider=vendor)
        until(lambda: bool(stub.calls()))
        product.clock.skip(DEADLINE_SECONDS)
        # Less than any of these takes to the end.
        refused = asking.result(timeout=10)

    assert refused.problem == "provider-exhausted"
    assert attempts_since(product, before) == [(vendor, "unknown", "timeout")]
    assert product.answers(text) == 0


@both_vendors
def test_a_provider_that_keeps_failing_is_left_alone_until_one_call_succeeds(
    start: Start, stub: StubProvider, text: str, vendor: str
) -> None:
    product = start(circuit_failures=2, circuit_seconds=60)
    before = len(product.attempts())
    stub.will("500", "500")

    failed = product.ask(text, provider=vendor)
    left_alone = product.ask(text, provider=vendor)
    calls_meanwhile = len(stub.calls())
    product.clock.skip(60)
    answered = product.ask(text, provider=vendor)

    assert failed.problem == "provider-exhausted"
    assert left_alone.problem == "provider-unavailable"
    assert 50 < int(left_alone.headers["retry-after"]) <= 60
    assert calls_meanwhile == 2
    assert answered.answer is not None
    assert attempts_since(product, before) == [
        (vendor, "failed", "http-500"),
        (vendor, "failed", "http-500"),
        (vendor, "failed", "circuit-open"),
        (vendor, "answered", None),
    ]
