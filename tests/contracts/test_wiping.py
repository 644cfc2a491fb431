"""What was deleted is not to be found in SQLite's files either."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from askonce.core.answers import Answer
from askonce.core.clock import SystemClock
from askonce.core.conversations import NewSession, Role, Turn
from askonce.core.preferences import Wishes
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.pruning import SqlOldAnalyses
from askonce.db.wiping import SqliteResidue
from askonce.services.wiping import Wiping
from tests.examples import ALICE, BOB, CALLER, DAY, NOW, a_question, an_answer
from tests.keeping import keep_answer
from tests.serving import until

# Long enough that no index compresses the end of it away, and in lower case as words are kept.
GONE, STAYS = "zwiebelmaierkrankenakte", "kuemmerlingverwaltungsbrief"
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@pytest.fixture
def database(sqlite_url: str) -> Iterator[SqlDatabase]:
    database = SqlDatabase(sqlite_url)
    fill(database)
    yield database
    database.close()


def fill(database: SqlDatabase) -> None:
    """Let two users ask things in turn, so that what goes and what stays share pages."""
    for number in range(300):
        with database.transaction() as tx:
            asker, word = (ALICE, GONE) if number % 3 else (BOB, STAYS)
            words = f"{word} {LETTERS[number % 26] * 9}{number} {word}{number}"
            key = number.to_bytes(32, "big")
            answer_id = keep_answer(
                tx,
                a_question(text=words * (1 + number % 40)),
                said(words),
                tenant="default",
                fingerprint=key,
                at=NOW,
            )
            tx.analyses.add(asker, answer_id, cached=False, at=NOW)
    with database.transaction() as tx:
        talk(tx)


def said(words: str) -> Answer:
    return an_answer(text=f"I know {words}.")


def talk(tx: SqlTransaction) -> None:
    new = NewSession(user_id="alice", title=f"About {GONE}", instructions=f"Know {GONE}.")
    session = tx.sessions.add(CALLER, new, at=NOW)
    tx.messages.say(session, f"Who is {GONE}?", at=NOW)
    answer_id = keep_answer(
        tx, a_question(), said(GONE), tenant="default", fingerprint=bytes(32), at=NOW
    )
    turn = Turn(session_id=session.id, position=1, role=Role.ASSISTANT, sent=1, summarised=0)
    assert tx.messages.give("default", turn, answer_id, cached=False, at=NOW) is not None
    tx.preferences.put("default", "alice", Wishes(instructions=f"Mention {GONE}."), at=NOW)


def erase(tx: SqlTransaction) -> None:
    tx.erasures.begin("default", "alice", at=NOW)
    tx.erasures.erase("default", "alice", at=NOW)


def delete_one_by_one(tx: SqlTransaction) -> None:
    for analysis_id in range(1, 301):
        if (analysis_id - 1) % 3:
            assert tx.analyses.remove(CALLER, analysis_id)
    assert tx.sessions.remove(CALLER, 1)
    assert tx.preferences.remove("default", "alice")


def prune(tx: SqlTransaction) -> None:
    theirs = [number for number in range(1, 301) if (number - 1) % 3]
    SqlOldAnalyses(tx.connection).remove(theirs, before=NOW + DAY)
    assert tx.sessions.remove(CALLER, 1)
    assert tx.preferences.remove("default", "alice")


def files_of(database: SqlDatabase) -> bytes:
    """Return every byte that stands on the disk for a database."""
    return b"".join(
        path.read_bytes()
        for path in database.path_beside("").parent.iterdir()
        if path.is_file() and path.name.startswith(database.path_beside("").name)
    )


def wipe(database: SqlDatabase) -> None:
    residue = SqliteResidue(database)
    wiping = Wiping(residue, clock=SystemClock())
    wiping.start()
    until(lambda: residue.pending() is None)
    wiping.close()


@pytest.mark.parametrize("delete", [erase, delete_one_by_one, prune])
def test_deleted_words_are_in_no_file_and_all_others_can_still_be_read(
    database: SqlDatabase, delete: Callable[[SqlTransaction], None]
) -> None:
    with database.transaction() as tx:
        delete(tx)
    assert GONE.encode() in files_of(database)

    wipe(database)

    left = files_of(database)
    assert GONE.encode() not in left
    assert GONE[:12].encode() not in left
    assert STAYS.encode() in left
    with sqlite3.connect(database.path_beside("")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.execute("INSERT INTO answers_words (answers_words) VALUES ('integrity-check')")
        found = connection.execute(
            "SELECT count(*) FROM answers_words WHERE answers_words MATCH ?", (STAYS,)
        )
        assert found.fetchone() == (100,)


def test_what_a_process_left_when_it_died_is_wiped_by_the_next_one(
    database: SqlDatabase, sqlite_url: str
) -> None:
    with database.transaction() as tx:
        erase(tx)

    next_one = SqlDatabase(sqlite_url)
    wipe(next_one)
    next_one.close()

    assert GONE.encode() not in files_of(database)


def test_a_reader_of_the_log_is_waited_for_without_holding_up_writers(
    database: SqlDatabase,
) -> None:
    residue = SqliteResidue(database)
    wiping = Wiping(residue, clock=SystemClock())
    with database.reading() as reader:
        reader.preferences.of("default", "alice")
        with database.transaction() as tx:
            erase(tx)
        wiping.start()
        assert not residue.empty_log()
        with database.transaction() as tx:
            tx.preferences.put("default", "bob", Wishes(provider="claude"), at=NOW)
    until(lambda: residue.pending() is None)
    wiping.close()

    assert GONE.encode() not in files_of(database)


def test_there_is_nothing_to_wipe_where_nothing_was_deleted(database: SqlDatabase) -> None:
    wipe(database)

    with database.transaction() as tx:
        tx.preferences.put("default", "bob", Wishes(provider="claude"), at=NOW)

    assert SqliteResidue(database).pending() is None
    assert Path(database.path_beside("")).exists()
