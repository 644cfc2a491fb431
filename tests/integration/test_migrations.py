"""Migrations: up and down with rows in the tables, many at once, and no drift."""

import multiprocessing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Inspector, bindparam, inspect, text

from askonce.core.access import Role as Access
from askonce.core.budgets import Hold, Kind, Period, Scope, Unit
from askonce.core.conversations import NewSession, Role, Turn
from askonce.core.keys import NewKey
from askonce.core.limits import Rate, Subject, microseconds
from askonce.core.ports import HistoryFilter
from askonce.core.preferences import Wishes
from askonce.core.seals import sealed
from askonce.db import migrating, schema
from askonce.db.columns import UtcDateTime
from askonce.db.database import SqlDatabase
from askonce.db.rows import Row
from tests import schemas
from tests.contracts.trails import an_event
from tests.databases import PostgresTemplates, migrate
from tests.examples import ALICE, ANY_FRESH, CALLER, DAY, KEY, NOW
from tests.examples import a_question as question
from tests.examples import an_answer as answer
from tests.keeping import keep_answer
from tests.serving import PATIENCE_SECONDS

OURS = {
    "answers",
    "api_keys",
    "console_sessions",
    "analyses",
    "flights",
    "attempts",
    "idempotency_keys",
    "sessions",
    "messages",
    "preferences",
    "provider_batch_lines",
    "provider_batches",
    "revisions",
    "erasures",
    "audit_events",
    "audit_seals",
    "usage_daily",
    "rate_limits",
    "budgets",
    "budget_periods",
    "budget_reservations",
}


@pytest.fixture
def empty(empty_database_url: str) -> SqlDatabase:
    return SqlDatabase(empty_database_url)


def fill(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        lease = tx.flights.claim(KEY, tenant="default", owner="one", accepted=ANY_FRESH)
        assert lease is not None
        tx.attempts.open(ALICE, lease, owner="one", provider="claude", model="m", at=NOW)
        answer_id = keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)
        tx.flights.land(lease, answer_id=answer_id, stored_at=NOW, expires_at=NOW + DAY)
        tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)


_OLD_ROWS = (
    """
    INSERT INTO answers (id, tenant, fingerprint, text, result, is_structured, provider, model,
                         finish_reason, tokens_in, tokens_out, created_at)
    VALUES (1, 'default', :key, 'What is a cache?', 'A place.', false, 'claude', 'm', 'stop', 1, 1,
            :at)
    """,
    """
    INSERT INTO analyses (tenant, user_id, answer_id, cached, created_at)
    VALUES ('default', 'alice', 1, false, :at)
    """,
)


def fill_as_it_was(database: SqlDatabase) -> None:
    """Put in an analysis as the first version did, which had fewer columns."""
    facts = {"key": KEY, "at": NOW}
    with database.transaction() as tx:
        for statement in _OLD_ROWS:
            at = bindparam("at", type_=UtcDateTime)
            tx.connection.execute(text(statement).bindparams(at), facts)
        if not database.is_sqlite:
            tx.connection.execute(text("SELECT setval('answers_id_seq', 1)"))


def fill_all(database: SqlDatabase) -> None:
    """Fill the tables that came later, too."""
    fill(database)
    with database.transaction() as tx:
        said = keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)
        session = tx.sessions.add(CALLER, NewSession(user_id="alice", title="Old"), at=NOW)
        tx.messages.say(session, "What is a cache?", at=NOW)
        turn = Turn(session_id=session.id, position=1, role=Role.ASSISTANT, sent=1, summarised=0)
        assert tx.messages.give("default", turn, said, cached=False, at=NOW) is not None
        tx.preferences.put("default", "alice", Wishes(provider="claude"), at=NOW)
        tx.book(an_event())
        tx.seals.add(sealed(None, [(1, KEY)], NOW))
        rate = Rate.of("1/day")
        tx.rate_limits.take(rate, {Subject.user("default", "alice"): 1}, now=microseconds(NOW))
        scope = Scope(
            tenant="default", kind=Kind.TENANT, name="", unit=Unit.TOKENS, period=Period.DAY
        )
        tx.budgets.put(scope, 10, at=NOW)
        hold = Hold(tx.budgets.news(None).budgets[0], Period.DAY.start(NOW), 10)
        assert tx.budgets.reserve([hold]) == [hold]
        tx.budgets.note(1, [hold])
        key = NewKey(
            tenant="default", name="a", role=Access.USER, user_id="a", digest=KEY, shown="ask_"
        )
        tx.keys.add(key, at=NOW)


def tables(database: SqlDatabase) -> set[str]:
    inspector: Inspector = inspect(database.engine)
    return {name for name in inspector.get_table_names() if not name.startswith("answers_words")}


def test_every_step_goes_up_and_down_with_rows_in_the_tables(empty: SqlDatabase) -> None:
    migrating.upgrade(empty)
    fill_all(empty)

    migrating.downgrade(empty, "base")
    assert tables(empty) == {"alembic_version"}
    assert not migrating.is_current(empty)

    migrating.upgrade(empty)
    fill_all(empty)
    assert tables(empty) == OURS | {"alembic_version"}
    with empty.reading() as tx:
        assert len(tx.analyses.newest(CALLER, "alice", HistoryFilter()).items) == 1
    empty.close()


def test_migrating_again_changes_nothing(database: SqlDatabase) -> None:
    fill(database)

    migrating.upgrade(database)

    assert migrating.is_current(database)
    with database.reading() as tx:
        assert len(tx.analyses.newest(CALLER, "alice", HistoryFilter()).items) == 1


def test_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=migrate, args=(empty_database_url,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)

    assert [process.exitcode for process in processes] == [0] * 4
    database = SqlDatabase(empty_database_url)
    assert tables(database) == OURS | {"alembic_version"}
    database.close()


def test_a_migration_that_dies_leaves_nothing_half_done(empty: SqlDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        migrating.run(empty, _upgrade_and_die)

    assert tables(empty) == set()
    migrating.upgrade(empty)
    assert migrating.is_current(empty)
    empty.close()


def _upgrade_and_die(config: Config) -> None:
    command.upgrade(config, "head")
    raise ZeroDivisionError


def test_tables_in_code_and_in_migrations_are_the_same(database: SqlDatabase) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        differences = [
            difference
            for difference in compare_metadata(context, Row.metadata)
            if "answers_words" not in str(difference)
        ]

    assert differences == []


def test_checks_in_code_and_in_migrations_are_the_same(database: SqlDatabase) -> None:
    inspector = inspect(database.engine)
    in_database = {
        str(check["name"]) for name in OURS for check in inspector.get_check_constraints(name)
    }
    in_code = {
        str(constraint.name)
        for name in OURS
        for constraint in Row.metadata.tables[name].constraints
        if str(constraint.name).startswith("ck_")
    }

    assert in_database == in_code


@pytest.mark.parametrize("few", [0, 10_000], ids=["step by step", "at once"])
def test_answers_from_before_the_table_of_words_are_found_after_it(
    empty: SqlDatabase, few: int
) -> None:
    migrating.upgrade(empty, "0002")
    fill_as_it_was(empty)

    migrating.run(empty, lambda config: _upgrade(config, few))
    migrating.upgrade(empty)

    assert found(empty) == 1
    fill_another(empty)
    assert found(empty) == 2
    migrating.downgrade(empty, "0002")
    migrating.upgrade(empty)
    assert found(empty) == 2
    empty.close()


def test_a_migration_that_died_between_its_steps_is_done_again(
    postgres_templates: PostgresTemplates,
) -> None:
    database = SqlDatabase(postgres_templates.create())
    migrating.upgrade(database, "0002")
    fill_as_it_was(database)
    with pytest.raises(ZeroDivisionError):
        migrating.run(database, _upgrade_step_by_step_and_die)
    assert not migrating.is_current(database)

    migrating.run(database, lambda config: _upgrade(config, 0))
    migrating.upgrade(database)

    assert migrating.is_current(database)
    assert found(database) == 1
    database.close()


def test_many_calls_are_indexed_beside_those_who_make_more(
    postgres_templates: PostgresTemplates,
) -> None:
    database = SqlDatabase(postgres_templates.create())
    migrating.upgrade(database, "0007")
    with database.engine.begin() as connection:
        schemas.write(connection, "0007")

    migrating.run(database, lambda config: _upgrade(config, 0, "0008"))

    index = "SELECT indisvalid FROM pg_index WHERE indexrelid = CAST(:name AS regclass)"
    with database.engine.connect() as connection:
        is_valid = connection.execute(text(index), {"name": "ix_attempts_tenant_user_id"}).scalar()
    assert is_valid
    database.close()


def _upgrade(config: Config, few: int, revision: str = "0003") -> None:
    config.attributes["few"] = few
    command.upgrade(config, revision)


def _upgrade_step_by_step_and_die(config: Config) -> None:
    _upgrade(config, 0)
    raise ZeroDivisionError


def fill_another(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        answer_id = keep_answer(tx, question(), answer(), tenant="default", fingerprint=KEY, at=NOW)
        tx.analyses.add(ALICE, answer_id, cached=False, at=NOW)


def found(database: SqlDatabase) -> int:
    with database.reading() as tx:
        wanted = HistoryFilter(words=("cache",))
        return len(tx.analyses.newest(CALLER, "alice", wanted).items)


def test_each_migration_has_one_parent_and_a_way_back() -> None:
    scripts = ScriptDirectory(str(Path(__file__).parents[2] / "migrations"))
    revisions = list(scripts.walk_revisions())

    assert scripts.get_heads() == [schema.newest()]
    assert all(hasattr(revision.module, "downgrade") for revision in revisions)


def test_without_conversations_only_the_answers_of_the_history_are_left(
    database: SqlDatabase,
) -> None:
    fill_all(database)

    migrating.downgrade(database, "0003")

    with database.reading() as tx:
        answers = tx.connection.exec_driver_sql("SELECT count(*) FROM answers").scalar_one()
    assert answers == 1
