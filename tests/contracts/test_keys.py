"""What keys promise, on both databases and between processes."""

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import cast

import pytest

from askonce.core.access import Caller, Operator, Role
from askonce.core.errors import (
    ConflictError,
    DatabaseUnavailableError,
    InvalidFieldsError,
    NotFoundError,
    UnauthenticatedError,
)
from askonce.core.keys import digest_of
from askonce.core.ports import Transaction
from askonce.db.database import SqlDatabase
from askonce.services.access import Access
from askonce.services.keys import Keys, Made
from tests.fakes.clock import FakeClock
from tests.serving import until


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keys(database: SqlDatabase, clock: FakeClock) -> Keys:
    return Keys(database=database, clock=clock, random_bytes=secrets.token_bytes)


@pytest.fixture
def access(database: SqlDatabase, clock: FakeClock) -> Iterator[Access]:
    with an_access(database, clock) as access:
        yield access


@contextmanager
def an_access(
    database: SqlDatabase,
    clock: FakeClock,
    *,
    is_loopback: bool = True,
    operator: Operator | None = None,
) -> Iterator[Access]:
    access = Access(
        database=database, clock=clock, is_loopback=is_loopback, operator=operator, seconds=0.05
    )
    access.start()
    try:
        yield access
    finally:
        access.close()


def service(keys: Keys, name: str = "web") -> Made:
    return keys.create(name, tenant="default", role=Role.SERVICE)


def is_good(access: Access, made: Made) -> bool:
    try:
        return access.caller(made.text.encode(), "r").key_id == made.key.id
    except UnauthenticatedError:
        return False


def test_a_key_stands_for_whom_it_was_made(keys: Keys, access: Access) -> None:
    alices = keys.create("a", tenant="acme", role=Role.USER, user_id="alice")
    admins = keys.create("b", tenant="default", role=Role.ADMIN)
    until(lambda: is_good(access, admins))

    assert access.caller(alices.text.encode(), "r1") == Caller(
        tenant="acme", role=Role.USER, user_id="alice", key_id=alices.key.id, request_id="r1"
    )
    assert access.caller(admins.text.encode(), "r2") == Caller(
        role=Role.ADMIN, key_id=admins.key.id, request_id="r2"
    )


def test_a_key_is_256_random_bits_that_are_nowhere_kept(
    database: SqlDatabase, clock: FakeClock
) -> None:
    keys = Keys(database=database, clock=clock, random_bytes=lambda n: bytes(range(n)))

    made = service(keys)

    assert made.text == "ask_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert made.key.shown == "ask_AAECAw"
    with database.reading() as tx:
        row = tx.connection.exec_driver_sql("SELECT * FROM api_keys").one()
    assert made.text[10:] not in repr(row)
    assert made.text not in repr(made)
    assert "digest" not in repr(made)


def test_what_is_no_good_key_is_nobody(keys: Keys, access: Access) -> None:
    made = service(keys)
    until(lambda: is_good(access, made))

    for wrong in (None, b"", b"ask_", made.text[:-1].encode(), made.text.encode() + b"A"):
        with pytest.raises(UnauthenticatedError):
            access.caller(wrong, "r")


def test_an_operators_key_is_good_in_its_own_process_alone(
    keys: Keys, access: Access, database: SqlDatabase, clock: FakeClock
) -> None:
    key = b"ask_" + b"o" * 43
    operator = Operator(tenant="acme", digest=digest_of(key))

    with an_access(database, clock, operator=operator) as own:
        assert own.caller(key, "r") == Caller(tenant="acme", role=Role.ADMIN, request_id="r")
        # Not even on loopback, and while there is no key: a command is its operator's alone.
        with pytest.raises(UnauthenticatedError):
            own.caller(None, "r")
        made = service(keys)
        until(lambda: is_good(own, made))
        assert own.caller(key, "r").role is Role.ADMIN

    until(lambda: is_good(access, made))
    with pytest.raises(UnauthenticatedError):
        access.caller(key, "r")


def test_a_key_that_is_revoked_elsewhere_is_good_no_more(keys: Keys, access: Access) -> None:
    made, other = service(keys), service(keys, "other")
    until(lambda: is_good(access, made) and is_good(access, other))

    keys.revoke("web", tenant="default")

    until(lambda: not is_good(access, made))
    assert is_good(access, other)


def test_a_rotated_key_is_good_under_its_old_text_for_as_long_as_was_said(
    keys: Keys, access: Access, clock: FakeClock
) -> None:
    first = service(keys)
    second = keys.rotate("web", tenant="default", grace=timedelta(hours=1))
    until(lambda: is_good(access, second))

    assert second.key.id == first.key.id
    assert is_good(access, first)
    clock.advance(3600)
    assert not is_good(access, first)
    assert is_good(access, second)


def test_a_key_that_is_rotated_without_grace_is_good_under_its_new_text_alone(
    keys: Keys, access: Access
) -> None:
    first = service(keys)
    keys.rotate("web", tenant="default", grace=timedelta(hours=1))

    last = keys.rotate(str(first.key.id), tenant="default", grace=timedelta(0))

    until(lambda: is_good(access, last))
    assert not is_good(access, first)


def test_revoking_a_key_takes_its_old_text_along(keys: Keys, access: Access) -> None:
    first = service(keys)
    second = keys.rotate("web", tenant="default", grace=timedelta(hours=1))
    until(lambda: is_good(access, first) and is_good(access, second))

    keys.revoke("web", tenant="default")

    until(lambda: not is_good(access, second))
    assert not is_good(access, first)


def test_a_name_is_one_good_key_of_a_tenant(keys: Keys) -> None:
    first = service(keys)
    keys.create("web", tenant="other", role=Role.SERVICE)
    with pytest.raises(ConflictError):
        service(keys)

    keys.revoke("web", tenant="default")
    second = service(keys)

    assert second.key.id > first.key.id
    assert [key.revoked_at is None for key in keys.all("default")] == [False, True]
    assert len(keys.all()) == 3


@pytest.mark.parametrize("called", ["nobody", "99", "9" * 40, "\u0663", ""])
def test_what_is_not_there_cannot_be_revoked_or_rotated(keys: Keys, called: str) -> None:
    service(keys)
    keys.revoke("1", tenant="default")

    for name in (called, "1", "web"):
        with pytest.raises(NotFoundError):
            keys.revoke(name, tenant="default")
        with pytest.raises(NotFoundError):
            keys.rotate(name, tenant="default", grace=timedelta(0))


@pytest.mark.parametrize(
    ("name", "tenant", "user_id"),
    [
        ("", "default", None),
        ("7", "default", None),
        ("a b", "default", None),
        ("a" * 65, "default", None),
        ("a", "", None),
        ("a", "x\x00", None),
        ("a", "default", ""),
        ("a", "default", "a/b"),
        ("a", "default", "a" * 129),
    ],
)
def test_names_have_a_spelling(keys: Keys, name: str, tenant: str, user_id: str | None) -> None:
    role = Role.SERVICE if user_id is None else Role.USER

    with pytest.raises(InvalidFieldsError):
        keys.create(name, tenant=tenant, role=role, user_id=user_id)

    assert not keys.is_any()


def test_without_any_key_this_machine_needs_none(access: Access) -> None:
    assert access.is_keyless
    assert access.caller(None, "r") == Caller(request_id="r")
    with pytest.raises(UnauthenticatedError):
        access.caller(b"ask_" + b"a" * 43, "r")


def test_without_any_key_another_machine_is_nobody(database: SqlDatabase, clock: FakeClock) -> None:
    with an_access(database, clock, is_loopback=False) as access:
        keyless = access.is_keyless
        with pytest.raises(UnauthenticatedError):
            access.caller(None, "r")

    assert not keyless


def test_from_the_first_key_on_all_need_one_even_when_it_is_revoked(
    keys: Keys, access: Access, database: SqlDatabase, clock: FakeClock
) -> None:
    service(keys)
    until(lambda: not access.is_keyless)

    keys.revoke("web", tenant="default")

    with an_access(database, clock) as later:
        assert not later.is_keyless
    with pytest.raises(UnauthenticatedError):
        access.caller(None, "r")


class LostDatabase:
    """A database that can go away."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database
        self.is_away = False

    def reading(self) -> AbstractContextManager[Transaction]:
        if self.is_away:
            raise DatabaseUnavailableError
        return self._database.reading()


def test_nobody_is_trusted_for_ever_without_the_database(
    database: SqlDatabase, clock: FakeClock, keys: Keys
) -> None:
    made = service(keys)
    lost = LostDatabase(database)
    with an_access(cast("SqlDatabase", lost), clock) as access:
        assert is_good(access, made)

        lost.is_away = True
        until(lambda: not is_trusted(access, made))
        lost.is_away = False

        until(lambda: is_trusted(access, made))


def is_trusted(access: Access, made: Made) -> bool:
    try:
        return is_good(access, made)
    except DatabaseUnavailableError:
        return False


def test_after_an_older_backup_was_restored_only_its_keys_are_good(
    keys: Keys, access: Access, database: SqlDatabase
) -> None:
    old = service(keys, "old")
    new = service(keys, "new")
    until(lambda: is_good(access, old) and is_good(access, new))

    with database.transaction() as tx:
        tx.connection.exec_driver_sql("DELETE FROM api_keys WHERE name = 'new'")
        tx.connection.exec_driver_sql("UPDATE revisions SET version = 1 WHERE name = 'keys'")

    until(lambda: not is_good(access, new))
    assert is_good(access, old)
