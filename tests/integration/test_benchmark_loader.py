"""The benchmark's client: it counts what it sees, and above all what it does not get."""

import asyncio
import json
from urllib.parse import urlsplit

import pytest

from benchmarks.load import errors_of, within
from benchmarks.loader import Group, Seen, run
from tests.stub.client import StubProvider


def question(text: str) -> str:
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"content": text}]})
    return (
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\n"
        f"content-length: {len(body)}\r\n\r\n{body}"
    )


def port_of(stub: StubProvider) -> int:
    return int(urlsplit(stub.url).port or 0)


def load(*groups: Group) -> list[Seen]:
    return asyncio.run(run(list(groups)))


def test_each_connection_sends_its_next_request_when_it_has_its_answer(stub: StubProvider) -> None:
    (seen,) = load(Group(port=port_of(stub), requests=[question("why?")], connections=3, times=4))

    assert seen.statuses == {"200": 12}
    assert len(seen.latencies) == len(seen.ended) == len(stub.calls()) == 12
    assert stub.max_running() <= 3
    assert errors_of(seen) == 0


def test_connections_begin_at_different_requests_and_go_through_all(stub: StubProvider) -> None:
    questions = ["one", "two", "three"]

    load(Group(port=port_of(stub), requests=list(map(question, questions)), connections=3, times=3))

    asked = [call["body"]["messages"][0]["content"] for call in stub.calls()]
    assert sorted(asked) == sorted(questions * 3)
    assert sorted(asked[:3]) == sorted(questions)


def test_an_answer_that_is_no_success_is_an_error(stub: StubProvider) -> None:
    stub.will("503")

    (seen,) = load(Group(port=port_of(stub), requests=[question("why?")], connections=1, times=3))

    assert seen.statuses == {"503": 1, "200": 2}
    assert errors_of(seen) == 1


@pytest.mark.parametrize("fate", ["reset", "cut", "cut-politely"])
def test_an_answer_that_does_not_come_is_an_error(stub: StubProvider, fate: str) -> None:
    stub.will(fate)

    (seen,) = load(Group(port=port_of(stub), requests=[question("why?")], connections=1, times=1))

    assert seen.statuses == {"lost": 1}
    assert errors_of(seen) == 1


def test_a_group_without_an_end_goes_on_until_the_others_have_ended(stub: StubProvider) -> None:
    slow, beside = load(
        Group(port=port_of(stub), requests=[question("[[slow=0.5]]")], connections=2, times=1),
        Group(port=port_of(stub), requests=[question("why?")], connections=1),
    )

    assert slow.statuses == {"200": 2}
    assert len(beside.latencies) > 1
    assert errors_of(beside) == 0


def test_with_a_rate_whoever_would_have_come_while_the_server_stood_still_has_waited(
    stub: StubProvider,
) -> None:
    # Ten a second, and the first is answered after a second: nine more came meanwhile.
    stub.will("slow=1")

    (seen,) = load(
        Group(port=port_of(stub), requests=[question("?")], connections=1, times=10, rate=10.0)
    )

    waited = sorted(seen.latencies, reverse=True)
    assert waited[0] >= 0.99
    assert all(wait >= 0.1 for wait in waited[:9])


def test_part_of_a_load_can_be_looked_at() -> None:
    seen = Seen(
        started_at=0.0,
        elapsed=3.0,
        latencies=[0.1, 0.2, 0.3],
        ended=[0.5, 1.0, 2.0],
        statuses={"200": 3},
    )

    assert within(seen, 1.0, 2.0) == [0.2]
