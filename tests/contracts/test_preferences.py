"""What preferences promise, on both databases and between processes."""

from collections.abc import Iterator

import pytest

from askonce.core.access import Caller
from askonce.core.clock import SystemClock
from askonce.core.errors import InvalidFieldsError, UnknownProviderError
from askonce.core.preferences import NO_WISHES, Wishes
from askonce.db.database import SqlDatabase
from askonce.db.ledger import GroupCommitLedger
from askonce.services.booking import Reads
from askonce.services.defaults import Defaults
from askonce.services.preferences import Preferences
from tests.examples import CALLER, NOW
from tests.serving import until

DEFAULTS = Defaults(
    provider="claude",
    models={"claude": "haiku", "local": "small"},
    fixed=frozenset({"local"}),
    max_output_tokens=1024,
)
FRENCH = Wishes(provider="claude", instructions="Answer in French.", max_output_tokens=64)


@pytest.fixture
def ledger(database: SqlDatabase) -> Iterator[GroupCommitLedger]:
    ledger = GroupCommitLedger(database)
    yield ledger
    ledger.close()


@pytest.fixture
def process(database: SqlDatabase, ledger: GroupCommitLedger) -> Iterator[Preferences]:
    yield from a_process(database, ledger)


@pytest.fixture
def other(database: SqlDatabase, ledger: GroupCommitLedger) -> Iterator[Preferences]:
    yield from a_process(database, ledger)


def a_process(database: SqlDatabase, ledger: GroupCommitLedger) -> Iterator[Preferences]:
    preferences = Preferences(
        database=database,
        ledger=ledger,
        defaults=DEFAULTS,
        reads=Reads(ledger, SystemClock()),
        clock=SystemClock(),
    )
    preferences.start()
    yield preferences
    preferences.close()


def test_preferences_come_back_as_they_were_put(database: SqlDatabase) -> None:
    with database.transaction() as tx:
        tx.preferences.put("default", "alice", Wishes(model="other"), at=NOW)
        tx.preferences.put("default", "alice", FRENCH, at=NOW)

    with database.reading() as tx:
        assert tx.preferences.of("default", "alice") == FRENCH
        assert tx.preferences.of("default", "bob") is None
        assert tx.preferences.of("other", "alice") is None


def test_whoever_has_none_is_known_to_have_none_after_one_look(process: Preferences) -> None:
    assert process.known("default", "alice") is None

    assert process.of("default", "alice") == NO_WISHES

    assert process.known("default", "alice") == NO_WISHES


def test_a_change_made_here_is_seen_at_once(process: Preferences) -> None:
    process.of("default", "alice")

    process.put(CALLER, "alice", FRENCH)

    assert process.known("default", "alice") in (None, FRENCH)
    assert process.of("default", "alice") == FRENCH


def test_a_change_made_elsewhere_is_noticed(process: Preferences, other: Preferences) -> None:
    process.of("default", "alice")
    bobs = process.of("default", "bob")

    other.put(CALLER, "alice", FRENCH)

    assert until(lambda: process.of("default", "alice") == FRENCH) < 10
    assert process.known("default", "bob") is bobs


def test_preferences_deleted_elsewhere_are_forgotten(
    process: Preferences, other: Preferences
) -> None:
    process.put(CALLER, "alice", FRENCH)
    assert other.of("default", "alice") == FRENCH

    process.put(CALLER, "alice", NO_WISHES)

    until(lambda: other.of("default", "alice") == NO_WISHES)


def test_what_is_put_can_be_followed(process: Preferences) -> None:
    with pytest.raises(UnknownProviderError):
        process.put(CALLER, "alice", Wishes(provider="openai"))
    with pytest.raises(InvalidFieldsError):
        process.put(CALLER, "alice", Wishes(provider="local", model="large"))

    assert process.of("default", "alice") == NO_WISHES


def test_tenants_have_users_of_their_own(process: Preferences) -> None:
    process.put(Caller(tenant="other"), "alice", FRENCH)

    assert process.of("default", "alice") == NO_WISHES
    assert process.of("other", "alice") == FRENCH
