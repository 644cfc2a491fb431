"""What the history promises, on both databases."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from askonce.core.access import Asker, Caller
from askonce.core.answers import FinishReason
from askonce.core.ports import HistoryFilter
from askonce.db.database import SqlDatabase
from askonce.db.rows import AnalysisRow, AnswerRow, FlightRow
from tests.contracts.recalling import recall
from tests.examples import ALICE, ANY_FRESH, BOB, CALLER, DAY, KEY, NOW, STRANGER
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer

EVERYTHING = HistoryFilter(limit=100)


def keep(
    database: SqlDatabase, text: str = "a text", result: str = "a result", asker: Asker = ALICE
) -> int:
    """Write an answer that is not cached, and one history row for it; return the row's id."""
    with database.transaction() as tx:
        answer_id = keep_answer(
            tx,
            question(text=text),
            answer(text=result),
            tenant=asker.tenant,
            fingerprint=KEY,
            at=NOW,
        )
        analysis = tx.analyses.add(asker, answer_id, cached=False, at=NOW)
        assert analysis is not None
        return analysis.id


def again(database: SqlDatabase, analysis_id: int, asker: Asker = BOB) -> int:
    """Give another user the answer of an analysis."""
    with database.transaction() as tx:
        answer_id = tx.connection.execute(
            select(AnalysisRow.answer_id).where(AnalysisRow.id == analysis_id)
        ).scalar_one()
        analysis = tx.analyses.add(asker, answer_id, cached=True, at=NOW)
        assert analysis is not None
        return analysis.id


def ids(
    database: SqlDatabase, wanted: HistoryFilter = EVERYTHING, user: str = "alice"
) -> list[int]:
    with database.reading() as tx:
        return [analysis.id for analysis in tx.analyses.newest(CALLER, user, wanted).items]


def count(database: SqlDatabase, table: type[AnswerRow | AnalysisRow | FlightRow]) -> int:
    with database.reading() as tx:
        return tx.connection.execute(select(func.count()).select_from(table)).scalar_one()


def remove(database: SqlDatabase, analysis_id: int, caller: Caller = CALLER) -> bool:
    with database.transaction() as tx:
        return tx.analyses.remove(caller, analysis_id) is not None


def test_an_analysis_comes_back_as_it_was_written(database: SqlDatabase) -> None:
    analysis_id = keep(database, "l'été\r\n\u2028\ufffe 日本", "naïve 😀")

    with database.reading() as tx:
        found = tx.analyses.one(CALLER, "alice", analysis_id)

    assert found is not None
    assert (found.text, found.created_at) == ("l'été\r\n\u2028\ufffe 日本", NOW)
    assert found.answer == answer(text="naïve 😀")


@pytest.mark.parametrize("finish_reason", list(FinishReason))
@pytest.mark.parametrize("cost", [None, "0", "0.000000000001", "9000000"])
def test_money_is_exact(
    database: SqlDatabase, finish_reason: FinishReason, cost: str | None
) -> None:
    from decimal import Decimal

    amount = None if cost is None else Decimal(cost)
    paid = answer(cost=amount, finish_reason=finish_reason)
    with database.transaction() as tx:
        answer_id = keep_answer(tx, question(), paid, tenant="default", fingerprint=KEY, at=NOW)
        analysis = tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)

    assert analysis is not None
    assert analysis.answer.cost == amount
    assert analysis.answer.finish_reason is finish_reason


def test_pages_are_newest_first_and_stay_right_while_rows_come_and_go(
    database: SqlDatabase,
) -> None:
    written = [keep(database) for _ in range(6)]

    first = ids(database, HistoryFilter(limit=2))
    keep(database)
    remove(database, written[2])
    second = ids(database, HistoryFilter(limit=2, before_id=first[-1]))

    assert first == [written[5], written[4]]
    assert second == [written[3], written[1]]


def test_an_id_is_never_given_out_again(database: SqlDatabase) -> None:
    newest = keep(database)
    remove(database, newest)

    assert keep(database) > newest


def test_users_and_tenants_do_not_see_each_other(database: SqlDatabase) -> None:
    keep(database)
    foreign = keep(database, asker=STRANGER)

    assert ids(database, user="bob") == []
    assert foreign not in ids(database)
    with database.reading() as tx:
        assert tx.analyses.one(CALLER, "alice", foreign) is None
        assert tx.analyses.one(CALLER, "bob", ids(database)[0]) is None
    assert not remove(database, foreign)


def test_the_answer_goes_with_its_last_use_and_not_before(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        lease = tx.flights.claim(KEY, tenant="default", owner="one", accepted=ANY_FRESH)
        assert lease is not None
        answer_id = keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)
        tx.flights.land(lease, answer_id=answer_id, stored_at=NOW, expires_at=NOW + DAY)
        first = tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)
    assert first is not None
    second = again(database, first.id)

    remove(database, first.id)
    with database.transaction() as tx:
        still_there = recall(tx, ALICE)
    assert still_there is not None
    remove(database, still_there.analysis.id)
    remove(database, second)

    assert count(database, AnswerRow) == 0
    with database.transaction() as tx:
        assert recall(tx, ALICE) is None
        assert tx.flights.claim(KEY, tenant="default", owner="two", accepted=ANY_FRESH) is not None


def test_filters_narrow_the_list(database: SqlDatabase) -> None:
    asked = keep(database)
    hit = again(database, asked, ALICE)

    assert ids(database, HistoryFilter(cached=True)) == [hit]
    assert ids(database, HistoryFilter(cached=False)) == [asked]
    assert ids(database, HistoryFilter(provider="claude", model="claude-haiku-5-5")) == [hit, asked]
    assert ids(database, HistoryFilter(provider="openai")) == []
    assert ids(database, HistoryFilter(model="gpt-6-luna")) == []
    assert ids(database, HistoryFilter(since=NOW)) == [hit, asked]
    assert ids(database, HistoryFilter(until=NOW)) == []
    assert ids(database, HistoryFilter(since=NOW + timedelta(microseconds=1))) == []


@pytest.mark.parametrize(
    ("words", "is_found"),
    [
        (("cache",), True),
        (("CACHE",), True),
        (("paid", "cache"), True),
        (("cach",), False),
        (("cache", "absent"), False),
        (("example",), True),
        (("world",), True),
        (("naïve",), True),
        (("naive",), False),
        (("日本語",), True),
        (("42",), True),
        (("AND",), False),
        (("NEAR", "cache"), False),
    ],
)
def test_search_finds_whole_words_of_text_and_result(
    database: SqlDatabase,
    words: tuple[str, ...],
    *,
    is_found: bool,
) -> None:
    text = "What is a cache (see http://www.example.org/hello_world)? 日本語 42"
    analysis_id = keep(database, text, "What was paid for: a naïve idea.")
    keep(database, "nothing", "of interest")

    assert ids(database, HistoryFilter(words=words)) == ([analysis_id] if is_found else [])


def test_search_forgets_what_was_deleted(database: SqlDatabase) -> None:
    remove(database, keep(database, "secret words"))
    fresh = keep(database, "other words")

    assert ids(database, HistoryFilter(words=("secret",))) == []
    assert ids(database, HistoryFilter(words=("words",))) == [fresh]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_every_text_comes_back_unchanged(database: SqlDatabase, text: str) -> None:
    analysis_id = keep(database, text, text)

    with database.reading() as tx:
        found = tx.analyses.one(CALLER, "alice", analysis_id)

    assert found is not None
    assert (found.text, found.answer.text) == (text, text)


def test_the_largest_texts_can_be_stored_and_searched(database: SqlDatabase) -> None:
    every_word_new = " ".join(f"wörd{number:x}" for number in range(25_000))
    analysis_id = keep(database, every_word_new[:200_000], "😀" * 200_000)

    assert ids(database, HistoryFilter(words=("wörd1f",))) == [analysis_id]
