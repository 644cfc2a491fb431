"""One server with several worker processes: one sum of numbers, and no worker that is missed."""

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import text

from askonce.db.database import SqlDatabase
from tests.e2e.asking import Call, Reply, at_once, get, question, under_way
from tests.e2e.outages import own_postgres
from tests.serving import Server, Servers, until
from tests.stub.client import StubProvider

# Nobody waits for such a lease to end.
PATIENT = {"ASKONCE_HEARTBEAT": 1800, "ASKONCE_LEASE": 3600}


def workers(server: Server) -> list[int]:
    """Return the worker processes; their supervisor has another child, which counts semaphores."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [
        int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def number(server: Server, name: str, **labels: str) -> float:
    """Return the sum of all lines of a metric that have these labels."""
    found = 0.0
    for line in get(server, "/metrics").body.decode().splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if match is not None and match[1] == name:
            has = dict(re.findall(r'(\w+)="([^"]*)"', match[2] or ""))
            found += float(match[3]) if labels.items() <= has.items() else 0.0
    return found


def is_whole(server: Server) -> bool:
    return len(workers(server)) == 2 and number(server, "askonce_workers") == 2


def leader(server: Server, database_url: str) -> int:
    """Return the worker that holds the lock of the process that makes the open call."""
    with closing(SqlDatabase(database_url, pool_size=1)) as database, database.reading() as tx:
        owner = tx.connection.scalar(text("SELECT owner FROM attempts WHERE outcome = 'open'"))
    for pid in workers(server):
        files = [
            str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir() if file.is_symlink()
        ]
        if any(file.endswith(f"/{owner}") for file in files):
            return pid
    raise AssertionError("nobody leads")


@contextmanager
def asked_at_both(server: Server, text: str) -> Iterator[list[Callable[[], list[Reply]]]]:
    """Ask until both workers have somebody who waits: which one takes a request, nobody knows."""
    with ExitStack() as asking:
        replies = [asking.enter_context(under_way(*[question(server, text)] * 8))]
        while number(server, "askonce_flights_in_the_air") < 2:
            replies.append(asking.enter_context(under_way(question(server, text))))
            time.sleep(0.5)
        yield replies


def test_workers_count_together_and_one_that_is_killed_is_replaced_and_its_flight_taken_over(
    servers: Servers, stub: StubProvider, sqlite_url: str
) -> None:
    server = servers.start(sqlite_url, ASKONCE_WORKERS=2, **PATIENT)
    until(lambda: is_whole(server))
    at_once([question(server, "What is known?")] * 20)
    until(lambda: number(server, "askonce_answers_total") == 20)
    folder = next(servers.folder.glob("askonce-metrics-*"))
    files = set(folder.glob("*.db"))
    counted = [number(server, "askonce_answers_total") for _ in range(8)]

    with asked_at_both(server, "Who answers this? [[held=start times=1]]") as replies:
        killed = leader(server, sqlite_url)
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(stub.calls()) == 3)
        statuses = [reply.status for some in replies for reply in some()]
    until(lambda: is_whole(server))

    # Those who were connected to the dead worker got nothing; all others the second call's answer.
    assert set(statuses) <= {0, 200}
    assert 200 in statuses
    assert killed not in workers(server)
    assert counted == [20] * 8
    until(lambda: number(server, "askonce_flights_in_the_air") == 0)
    assert number(server, "askonce_answers_total") >= 20 + statuses.count(200)
    assert set(folder.glob("*.db")) == files
    events = [json.loads(line)["event"] for line in server.log().splitlines()]
    assert events.count("worker_died") == 1

    server.terminate()
    assert server.wait() == 0
    assert not folder.exists()


def test_workers_and_all_that_they_do_in_the_background_outlive_a_database_that_goes_away(
    servers: Servers, stub: StubProvider, tmp_path: Path
) -> None:
    with own_postgres(tmp_path) as postgres:
        server = servers.start(
            postgres.url, ASKONCE_WORKERS=2, ASKONCE_PRUNE_INTERVAL=0.2, **PATIENT
        )
        until(lambda: is_whole(server))
        known = question(server, "What is known?")
        at_once([replace(known, headers={**known.headers, "idempotency-key": "once"})])
        pids = workers(server)

        postgres.stop()
        away = at_once([known] * 8)
        counted = number(server, "askonce_workers")
        postgres.start()
        until(lambda: all(reply.status == 200 for reply in at_once([known] * 8)))

        # Preferences are noticed by the worker that was not told of them,
        wishes = Call(
            port=server.port,
            method="PUT",
            path="/users/ann/preferences",
            body=b'{"model": "gpt-later"}',
        )
        assert at_once([wishes])[0].status == 200
        until(lambda: {reply.json["model"] for reply in at_once([known] * 8)} == {"gpt-later"})
        # what is old is removed,
        with closing(SqlDatabase(postgres.url, pool_size=2)) as database:
            with database.transaction() as tx:
                tx.connection.execute(
                    text("UPDATE idempotency_keys SET created_at = '2020-01-01Z'")
                )
            until(lambda: not number_of_keys(database))
        # and who leads is watched.
        calls = len(stub.calls())
        with asked_at_both(server, "And now? [[held=start times=1]]") as replies:
            os.kill(leader(server, postgres.url), signal.SIGKILL)
            until(lambda: len(stub.calls()) == calls + 2)
            assert 200 in [reply.status for some in replies for reply in some()]

    assert {reply.status for reply in away} == {503}
    assert counted == 2
    assert len(set(workers(server)) & set(pids)) == 1


def number_of_keys(database: SqlDatabase) -> int:
    with database.reading() as tx:
        return tx.connection.scalar(text("SELECT count(*) FROM idempotency_keys")) or 0


def test_workers_end_with_a_supervisor_that_is_killed(servers: Servers, sqlite_url: str) -> None:
    server = servers.start(sqlite_url, ASKONCE_WORKERS=2)
    until(lambda: len(workers(server)) == 2)
    orphans = workers(server)

    os.kill(server.pid, signal.SIGKILL)

    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in orphans))
