"""Exporting a user: all kinds, in one stream that can be told from one that was cut."""

import json
import tracemalloc
from itertools import islice
from typing import Any

import pytest
from fastapi.testclient import TestClient

from askonce.core.errors import DatabaseUnavailableError
from askonce.db.database import SqlDatabase
from askonce.http.users import written
from askonce.services.booking import Reads
from askonce.services.exports import Exports
from tests.contracts.test_erasure import insert_many
from tests.examples import ALICE, CALLER, KEY, NOW, a_question, an_answer
from tests.fakes.clock import FakeClock
from tests.http.conftest import Service
from tests.http.test_erasure import ask, erase
from tests.http.test_sessions import begin
from tests.http.test_turns import say
from tests.keeping import keep_answer


class NoReads(Reads):
    """Books nothing: what is read here was put there by hand."""

    def __init__(self) -> None:
        pass

    def book(self, *_: object, **__: object) -> None:
        pass


def exports(database: SqlDatabase) -> Exports:
    return Exports(database=database, reads=NoReads(), clock=FakeClock())


def exported(client: TestClient, user: str = "ann") -> list[dict[str, Any]]:
    response = client.get(f"/users/{user}/export")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.split("\n")[:-1]]


def test_everything_is_in_it_once_and_nothing_of_others(client: TestClient) -> None:
    first = ask(client, words="one\nand\u2028two").json()
    ask(client, words="another", Idempotency_Key="key-one")
    ask(client, "bob", "of somebody else")
    session = begin(client, prompt="Who was it?", instructions="Be brief.")
    said = say(client, session["id"], "Who was it?").json()["messages"]
    client.put("/users/ann/preferences", json={"instructions": "Answer in French."})

    head, *lines, end = exported(client)

    assert (head["kind"], head["user_id"], head["format"]) == ("export", "ann", 1)
    assert [line["kind"] for line in lines] == [
        "preferences",
        "analysis",
        "analysis",
        "session",
        "message",
        "message",
        "call",
        "call",
        "call",
        "usage",
        "idempotency_key",
    ]
    assert end == {
        "kind": "end",
        "lines": {
            "analysis": 2,
            "call": 3,
            "idempotency_key": 1,
            "message": 2,
            "preferences": 1,
            "session": 1,
            "usage": 1,
        },
    }
    assert lines[0]["instructions"] == "Answer in French."
    assert lines[1] == {"kind": "analysis", **first, "text": "one\nand\u2028two"}
    assert (lines[3]["title"], lines[3]["instructions"]) == ("Capitals", "Be brief.")
    assert [one["content"] for one in lines[4:6]] == [one["content"] for one in said]
    assert lines[6]["outcome"] == "answered"
    assert (lines[-2]["calls"], lines[-2]["tokens_in"] > 0) == (3, True)
    assert lines[-1]["analysis_id"] == lines[2]["id"]
    assert "of somebody else" not in json.dumps(lines)


def test_of_whom_nothing_is_known_there_is_nothing_between_the_first_and_last_line(
    client: TestClient,
) -> None:
    ask(client)
    erase(client)

    assert [line["kind"] for line in exported(client)] == ["export", "end"]
    assert exported(client)[-1]["lines"] == {}


def test_who_reads_slowly_holds_no_connection_and_is_in_nobodys_way(service: Service) -> None:
    database = service.process.database
    with database.transaction() as tx:
        insert_many(tx, 15, each=100)
    _, portions = service.process.parts.exports.begin(CALLER, "alice")

    started = list(islice(portions, 2))
    in_use = database.connections_in_use()
    erase(service.client, "alice")
    rest = list(portions)

    assert sum(map(len, started)) == 500
    assert in_use == 0
    assert sum(map(len, rest)) == 0


def test_fifty_thousand_rows_take_no_more_memory_than_a_few(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        insert_many(tx, 50, each=1_000)
    _, portions = exports(database).begin(CALLER, "alice")
    stream = written("alice", NOW, portions)
    size = sum(map(len, islice(stream, 12)))

    tracemalloc.start()
    size += sum(map(len, islice(stream, 10)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    *rest, end = stream
    size += sum(map(len, rest))

    assert json.loads(end)["lines"] == {"analysis": 50_000}
    assert size > 10_000_000
    assert peak < 5_000_000


def test_long_texts_come_in_smaller_portions(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        for _ in range(9):
            answer_id = keep_answer(
                tx,
                a_question(text="x" * 200_000),
                an_answer(),
                tenant="default",
                fingerprint=KEY,
                at=NOW,
            )
            tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)

    _, portions = exports(database).begin(CALLER, "alice")

    assert [len(portion) for portion in portions] == [0, 2, 2, 2, 2, 1]


def test_a_database_that_is_away_is_an_error_and_no_empty_export(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise DatabaseUnavailableError

    monkeypatch.setattr(service.process.database, "reading", away)

    response = service.client.get("/users/ann/export")

    assert (response.status_code, response.json()["type"]) == (503, "database-unavailable")
