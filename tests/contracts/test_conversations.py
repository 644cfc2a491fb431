"""What sessions and messages promise, on both databases."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import func, select

from askonce.core.access import Caller
from askonce.core.caching import Accepted
from askonce.core.conversations import Message, NewSession, Role, Session, Turn
from askonce.core.replies import REPLY_SCHEMA
from askonce.core.stores import SessionFilter
from askonce.db.database import SqlDatabase, SqlTransaction
from askonce.db.rows import AnalysisRow, AnswerRow, FlightRow, MessageRow, SessionRow
from tests.examples import ALICE, ANY_FRESH, CALLER, DAY, KEY, NOW
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer

OTHER = Caller(tenant="other")
SECOND = timedelta(seconds=1)
REPLY = '{"content": "Paris.", "confidence": 0.9}'


def begun(tx: SqlTransaction, user_id: str = "alice", at: datetime = NOW) -> Session:
    return tx.sessions.add(CALLER, NewSession(user_id=user_id, title="Capitals"), at=at)


def answered(tx: SqlTransaction, text: str = REPLY, fingerprint: bytes = KEY) -> int:
    asked = question(messages=(), output_schema=REPLY_SCHEMA)
    return keep_answer(
        tx, asked, answer(text=text), tenant="default", fingerprint=fingerprint, at=NOW
    )


def place(session: Session, position: int, role: Role = Role.ASSISTANT) -> Turn:
    return Turn(session_id=session.id, position=position, role=role, sent=position, summarised=0)


def exchanged(tx: SqlTransaction, session: Session, answer_id: int | None = None) -> Message:
    """Let a user say something and a model reply; return the reply."""
    said = tx.messages.say(session, "What is the capital of France?", at=NOW)
    reply = tx.messages.give(
        "default", place(session, said.position), answer_id or answered(tx), cached=False, at=NOW
    )
    assert reply is not None
    return reply


def newest(tx: SqlTransaction, session: Session) -> list[tuple[Role, str]]:
    found = tx.messages.newest(CALLER, session.id, limit=100)
    return [(message.role, message.content) for message in reversed(found)]


def count(database: SqlDatabase, *tables: type) -> list[int]:
    with database.reading() as tx:
        return [
            tx.connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in tables
        ]


def test_a_session_comes_back_as_it_was_begun(database: SqlDatabase) -> None:
    new = NewSession(
        user_id="alice", title="l'été", provider="claude", model="m", instructions="Be brief."
    )
    with database.transaction() as tx:
        session = tx.sessions.add(CALLER, new, at=NOW)

    with database.reading() as tx:
        assert tx.sessions.one(CALLER, session.id) == session
    assert (session.title, session.messages, session.created_at) == ("l'été", 0, NOW)


def test_messages_come_back_as_they_were_said(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        reply = exchanged(tx, session)
        tx.messages.bring_in(session, "I said something elsewhere.", at=NOW)
        tx.messages.say(session, "And Italy's?", at=NOW + SECOND)

    with database.reading() as tx:
        found = list(tx.messages.newest(CALLER, session.id, limit=100))[::-1]
        now = tx.sessions.one(CALLER, session.id)

    assert now is not None
    assert (now.messages, now.replied, now.updated_at) == (4, 3, NOW + SECOND)
    assert [(one.position, one.role.value, one.is_answered) for one in found] == [
        (1, "user", True),
        (2, "assistant", True),
        (3, "assistant", True),
        (4, "user", False),
    ]
    assert found[1] == reply
    assert (reply.content, reply.confidence) == ("Paris.", 0.9)
    assert reply.answer == answer(text=REPLY)
    assert (reply.sent, reply.summarised) == (1, 0)


def test_a_reply_lands_only_behind_the_thread_that_it_was_made_for(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        first = tx.messages.say(session, "One?", at=NOW)
        tx.messages.say(session, "Two?", at=NOW)
        answer_id = answered(tx)

        stale = tx.messages.give(
            "default", place(session, first.position), answer_id, cached=False, at=NOW
        )
        right = tx.messages.give("default", place(session, 2), answer_id, cached=False, at=NOW)
        again = tx.messages.give("default", place(session, 2), answer_id, cached=False, at=NOW)

    assert (stale, again) == (None, None)
    assert right is not None
    assert right.position == 3


def test_a_place_is_open_until_something_is_said_there(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        turn = place(session, tx.messages.say(session, "One?", at=NOW).position)
        before = (tx.messages.end_of("default", session.id), tx.messages.given("default", turn))
        reply = tx.messages.give("default", turn, answered(tx), cached=False, at=NOW)
        after = (tx.messages.end_of("default", session.id), tx.messages.given("default", turn))

    assert before == (1, None)
    assert after == (2, reply)


def test_a_reply_is_found_with_what_it_replies_to(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        first = tx.messages.say(session, "One?", at=NOW)
        second = tx.messages.say(session, "Two?", at=NOW)
        nobody = tx.messages.reply_to(session, first)
        summary = tx.messages.give(
            "default", place(session, 1, Role.SUMMARY), answered(tx), cached=False, at=NOW
        )
        reply = tx.messages.give("default", place(session, 2), answered(tx), cached=False, at=NOW)
        exchanged(tx, session)

        assert reply is not None
        assert nobody is None
        assert tx.messages.reply_to(session, first) == reply
        assert tx.messages.reply_to(session, second) == reply
        around = tx.messages.around(session, reply)
        assert around == [replace(second, is_answered=True), summary, reply]


def test_a_summary_stands_beside_the_thread_and_not_in_it(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        exchanged(tx, session)
        turn = place(session, 2, Role.SUMMARY)
        summary = tx.messages.give("default", turn, answered(tx), cached=False, at=NOW)
        tx.messages.say(session, "And Italy's?", at=NOW)

    with database.reading() as tx:
        thread = tx.messages.thread(session, limit=10)
        assert [(one.position, one.role) for one in thread] == [
            (1, Role.USER),
            (2, Role.ASSISTANT),
            (3, Role.USER),
        ]
        assert tx.messages.summaries(session) == [summary]
        assert [role for role, _ in newest(tx, session)][2] is Role.SUMMARY


def test_a_thread_is_read_from_either_end_in_pages(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        for number in range(1, 8):
            tx.messages.say(session, str(number), at=NOW)

        def read(some: Sequence[Message]) -> str:
            return "".join(message.content for message in some)

        assert read(tx.messages.thread(session, limit=3)) == "123"
        assert read(tx.messages.thread(session, first=4, last=5, limit=3)) == "45"
        assert read(tx.messages.ending(session, last=7, limit=3)) == "567"
        assert read(tx.messages.ending(session, last=2, limit=3)) == "12"


def test_two_who_speak_at_once_get_places_of_their_own(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)

    def speak() -> None:
        with database.transaction() as tx:
            tx.messages.say(session, "Hello!", at=NOW)

    threads = [threading.Thread(target=speak) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with database.reading() as tx:
        found = tx.messages.thread(session, limit=100)
    assert [message.position for message in found] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_sessions_are_listed_by_their_last_update_in_pages_that_stay_right(
    database: SqlDatabase,
) -> None:
    with database.transaction() as tx:
        sessions = [begun(tx, at=NOW + number // 2 * SECOND) for number in range(6)]
        bob = begun(tx, "bob", at=NOW + 9 * SECOND)
    wanted = SessionFilter(user_id="alice", limit=2)
    with database.reading() as tx:
        first = tx.sessions.newest(CALLER, wanted)
    with database.transaction() as tx:
        tx.sessions.remove(CALLER, first[-1].id)
        begun(tx, at=NOW + 20 * SECOND)
    before = (first[-1].updated_at, first[-1].id)
    with database.reading() as tx:
        second = tx.sessions.newest(CALLER, SessionFilter(user_id="alice", limit=9, before=before))
        everybody = tx.sessions.newest(CALLER, SessionFilter(limit=100))

    in_order = [session.id for session in reversed(sessions)]
    assert [session.id for session in [*first, *second]] == in_order
    assert bob.id in [session.id for session in everybody]


def test_a_session_that_goes_on_is_listed_first(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        old, new = begun(tx), begun(tx, at=NOW + SECOND)
        tx.messages.say(old, "Still there?", at=NOW + 2 * SECOND)

        listed = tx.sessions.newest(CALLER, SessionFilter())

    assert [session.id for session in listed] == [old.id, new.id]


def test_a_session_is_renamed(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        changed = tx.sessions.change(
            CALLER, session.id, {"title": "Cities", "provider": "openai"}, at=NOW + SECOND
        )

    assert changed is not None
    assert (changed.title, changed.provider, changed.model) == ("Cities", "openai", None)
    assert changed.updated_at == NOW + SECOND


def test_nothing_of_a_session_can_be_reached_from_another_tenant(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        reply = exchanged(tx, session)

        assert tx.sessions.one(OTHER, session.id) is None
        assert tx.sessions.locked(OTHER, session.id) is None
        assert tx.sessions.newest(OTHER, SessionFilter()) == []
        assert tx.sessions.change(OTHER, session.id, {"title": "Mine"}, at=NOW) is None
        assert not tx.sessions.remove(OTHER, session.id)
        assert tx.messages.newest(OTHER, session.id, limit=10) == []
        assert tx.messages.one(OTHER, reply.id) is None
        assert tx.messages.one(CALLER, reply.id) == reply
        assert tx.messages.end_of("other", session.id) is None
        assert tx.messages.given("other", place(session, 1)) is None


def test_a_deleted_session_takes_its_messages_answers_and_entries_along(
    database: SqlDatabase,
) -> None:
    with database.transaction() as tx:
        lease = tx.flights.claim(KEY, tenant="default", owner="one", accepted=ANY_FRESH)
        assert lease is not None
        session = begun(tx)
        answer_id = answered(tx)
        exchanged(tx, session, answer_id)
        tx.flights.land(lease, answer_id=answer_id, stored_at=NOW, expires_at=NOW + DAY)
        exchanged(tx, session)

    with database.transaction() as tx:
        assert tx.sessions.remove(CALLER, session.id)

    assert count(database, SessionRow, MessageRow, AnswerRow) == [0, 0, 0]
    with database.reading() as tx:
        seen = tx.flights.read([KEY])[KEY]
        assert (seen.state.value, seen.answer_id, seen.epoch) == ("purged", None, lease.epoch + 1)
        assert not tx.sessions.one(CALLER, session.id)


def test_answers_that_somebody_else_was_given_stay(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session, other = begun(tx), begun(tx, "bob")
        of_both, of_history, own = answered(tx), answered(tx), answered(tx)
        for answer_id in (of_both, of_history, own):
            exchanged(tx, session, answer_id)
        kept = exchanged(tx, other, of_both)
        analysis = tx.analyses.add(ALICE, of_history, cached=True, at=NOW)
        tx.sessions.remove(CALLER, session.id)

    assert analysis is not None
    assert count(database, AnswerRow, MessageRow) == [2, 2]
    with database.transaction() as tx:
        assert tx.messages.one(CALLER, kept.id) == kept
        tx.analyses.remove(CALLER, analysis.id)
    assert count(database, AnswerRow, AnalysisRow) == [1, 0]


def test_an_answer_of_a_session_outlives_the_analysis_that_shared_it(
    database: SqlDatabase,
) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        answer_id = answered(tx)
        reply = exchanged(tx, session, answer_id)
        analysis = tx.analyses.add(ALICE, answer_id, cached=True, at=NOW)
        assert analysis is not None

        assert tx.analyses.remove(CALLER, analysis.id)

        assert tx.messages.one(CALLER, reply.id) == reply


def test_a_long_session_is_deleted_whole(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        for _ in range(600):
            exchanged(tx, session)

    with database.transaction() as tx:
        tx.sessions.remove(CALLER, session.id)

    assert count(database, SessionRow, MessageRow, AnswerRow, FlightRow) == [0, 0, 0, 0]


def test_no_words_are_given_with_an_answer_that_is_gone(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        tx.messages.say(session, "One?", at=NOW)

        assert tx.messages.give("default", place(session, 1), 77, cached=True, at=NOW) is None


def test_no_words_are_given_to_a_session_that_is_gone(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        session = begun(tx)
        tx.messages.say(session, "One?", at=NOW)
        answer_id = answered(tx)
        tx.sessions.remove(CALLER, session.id)

        turn = place(session, 1)
        assert tx.messages.give("default", turn, answer_id, cached=True, at=NOW) is None
        assert tx.messages.end_of("default", session.id) is None


def test_an_entry_is_found_without_being_given(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        lease = tx.flights.claim(KEY, tenant="default", owner="one", accepted=ANY_FRESH)
        assert lease is not None
        answer_id = answered(tx)
        tx.flights.land(lease, answer_id=answer_id, stored_at=NOW, expires_at=NOW + DAY)

        entry = tx.flights.entry(KEY, tenant="default", accepted=ANY_FRESH)

        assert entry is not None
        assert (entry.answer_id, entry.stored_at, entry.expires_at) == (answer_id, NOW, NOW + DAY)
        assert tx.flights.entry(KEY, tenant="other", accepted=ANY_FRESH) is None
        late = Accepted(now=NOW + DAY)
        assert tx.flights.entry(KEY, tenant="default", accepted=late) is None
    assert count(database, AnalysisRow) == [0]
