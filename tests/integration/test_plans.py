"""How the databases go about pages of history: by indexes, never through a whole table.

Plans do not depend on how fast a machine is. Half of the rows are one user's, and each half has a
word that is common in it and absent from the other: the worst that statistics can make of it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from askonce.core.books import EventFilter
from askonce.core.ports import HistoryFilter, Page
from askonce.db.database import SqlDatabase, SqlTransaction
from tests.examples import CALLER, KEY, NOW

ROWS = 60_000
HUGE, SMALL = "huge", "user7"

_NUMBERS = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows)",
    "postgresql": "WITH n(i) AS (SELECT * FROM generate_series(1, CAST(:rows AS bigint)))",
}
# Even rows are one user's and hold "beta", odd ones are many users' and hold "alpha".
_ANSWERS = """
    INSERT INTO answers (id, tenant, fingerprint, text, result, is_structured, provider, model,
                         finish_reason, tokens_in, tokens_out, created_at)
    SELECT i, 'default', :key, CASE WHEN i % 2 = 0 THEN 'beta' ELSE 'alpha' END
           || CASE WHEN i % 20000 < 2 THEN ' rare' ELSE '' END, 'word' || i, :no, 'claude',
           CASE WHEN i = 2 THEN 'oldest' ELSE 'm' END, 'stop', 1, 1, :at FROM n
"""
_ANALYSES = """
    INSERT INTO analyses (id, tenant, user_id, answer_id, cached, created_at)
    SELECT i, 'default', CASE WHEN i % 2 = 0 THEN 'huge' ELSE 'user' || i % 100 END, i, :no, :at
    FROM n
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(request: pytest.FixtureRequest) -> Iterator[SqlDatabase]:
    """Return a database with many rows, and statistics about them."""
    kind = "sqlite" if request.param == "sqlite" else "postgres"
    database = SqlDatabase(request.getfixturevalue(f"{kind}_templates").copy())
    facts = {"rows": ROWS, "no": False, "at": NOW}
    with database.transaction() as tx:
        if not database.is_sqlite:
            tx.connection.execute(text("SET LOCAL statement_timeout = 0"))
        numbers = _NUMBERS[request.param]
        tx.connection.execute(text(numbers + _ANSWERS), facts | {"key": KEY})
        tx.connection.execute(text(numbers + _ANALYSES), facts)
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    yield database
    database.close()


def explained(
    database: SqlDatabase, user: str, wanted: HistoryFilter, *, explain: str = "EXPLAIN"
) -> tuple[Page, list[str]]:
    """Return a page, and the plan of each statement that it took."""
    with noted(database) as ran, database.reading() as tx:
        page = tx.analyses.newest(CALLER, user, wanted)
    plans = []
    with database.reading() as tx:
        for statement, facts in ran:
            if statement.startswith(("SELECT", "WITH")):
                plans.append(plan_of(tx, statement, facts, explain))
            elif statement.startswith("SET"):
                tx.connection.exec_driver_sql(statement)
    return page, plans


@contextmanager
def noted(database: SqlDatabase) -> Iterator[list[tuple[str, Any]]]:
    """Give the statements that are run meanwhile, and what they are run with."""
    ran: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, facts: Any, *_rest: Any) -> None:
        ran.append((statement, facts))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield ran
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def plan_of(tx: SqlTransaction, statement: str, facts: Any, explain: str = "EXPLAIN") -> str:
    if tx.connection.dialect.name == "sqlite":
        explain = "EXPLAIN QUERY PLAN"
    lines = tx.connection.exec_driver_sql(f"{explain} {statement}", facts)
    return "\n".join(str(line[-1]) for line in lines)


def goes_through_a_table(plan: str) -> bool:
    """Return whether a plan reads rows that are not the user's, or do not have the words."""
    for number, line in enumerate(lines := plan.splitlines()):
        if re.search(r"SCAN (analyses|answers)\b(?!.*VIRTUAL)", line) or "Seq Scan" in line:
            return True
        if "using pk_analyses" in line and "ANY" not in lines[number + 1]:
            return True
    return False


WANTED = {
    "newest": HistoryFilter(),
    "next page": HistoryFilter(before_id=30_000),
    "cached": HistoryFilter(cached=True),
    "provider": HistoryFilter(provider="openai"),
    "model": HistoryFilter(model="oldest"),
    "since": HistoryFilter(since=NOW + timedelta(days=1)),
    "until": HistoryFilter(until=NOW),
    "common word": HistoryFilter(words=("alpha",)),
    "other common word": HistoryFilter(words=("beta",)),
    "common words that never meet": HistoryFilter(words=("alpha", "beta")),
    "rare word": HistoryFilter(words=("rare",)),
    "absent word": HistoryFilter(words=("absent",), model="m"),
}


@pytest.mark.parametrize("user", [HUGE, SMALL])
@pytest.mark.parametrize("wanted", WANTED.values(), ids=WANTED.keys())
def test_no_page_goes_through_a_table(full: SqlDatabase, user: str, wanted: HistoryFilter) -> None:
    _, plans = explained(full, user, wanted)

    assert plans
    assert [plan for plan in plans if goes_through_a_table(plan)] == []


@pytest.mark.parametrize("user", [HUGE, SMALL, "nobody"])
@pytest.mark.parametrize("before_id", [None, 30_000])
def test_a_page_touches_few_blocks(full: SqlDatabase, user: str, before_id: int | None) -> None:
    if full.is_sqlite:
        pytest.skip("SQLite does not count them")

    _, plans = explained(
        full, user, HistoryFilter(before_id=before_id), explain="EXPLAIN (ANALYZE, BUFFERS)"
    )

    blocks = [int(number) for number in re.findall(r"(?:hit|read)=(\d+)", plans[0].split("->")[0])]
    assert 0 < sum(blocks) < 100


@pytest.mark.parametrize("before_id", [None, 30_000])
def test_rare_words_are_found_by_their_answers(full: SqlDatabase, before_id: int | None) -> None:
    _, plans = explained(full, HUGE, HistoryFilter(words=("rare",), before_id=before_id))

    (by_answers,) = (plan for plan in plans if "found" in plan)
    assert "ix_analyses_answer_id_tenant_user_id" in by_answers
    assert "ix_analyses_tenant_user_id_id" not in by_answers


def test_a_page_of_the_trail_looks_at_a_part_of_it(full: SqlDatabase) -> None:
    if not full.is_sqlite:
        pytest.skip("PostgreSQL's plan for an empty table is to go through it")
    wanted = EventFilter(tenant="default", user_id="nobody", since=NOW)

    with noted(full) as ran, full.reading() as tx:
        tx.trail.newest(wanted)
    with full.reading() as tx:
        plans = [plan_of(tx, *one) for one in ran if one[0].startswith("SELECT")]

    assert plans
    assert [plan for plan in plans if "SCAN audit_events" in plan] == []


def test_going_through_a_table_is_seen(full: SqlDatabase) -> None:
    statement = "SELECT * FROM analyses WHERE cached"
    with full.reading() as tx:
        plan = plan_of(tx, statement, ())

    assert goes_through_a_table(plan)


def test_the_first_page_has_the_rare_words_however_far_back(full: SqlDatabase) -> None:
    page, _ = explained(full, HUGE, HistoryFilter(words=("rare",)))

    assert [item.id for item in page.items] == [60_000, 40_000, 20_000]
    assert page.before_id is None


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (HistoryFilter(model="oldest"), [2]),
        (HistoryFilter(words=("alpha",)), []),
        (HistoryFilter(words=("alpha", "rare")), []),
    ],
)
def test_pages_that_are_short_lead_on_to_the_end(
    full: SqlDatabase, wanted: HistoryFilter, found: list[int]
) -> None:
    pages: list[Page] = []
    while not pages or pages[-1].before_id is not None:
        before_id = pages[-1].before_id if pages else None
        pages.append(explained(full, HUGE, replace(wanted, before_id=before_id))[0])

    assert [item.id for page in pages for item in page.items] == found
    assert len(pages) <= 3
