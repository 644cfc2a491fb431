"""Fixtures for all tests: real databases, and no way to another machine."""

from collections.abc import Iterator

import freezegun
import hypothesis
import pytest
import structlog

import askonce.main.process  # noqa: F401 - pydantic cannot make models while time is frozen
from askonce.db.database import SqlDatabase
from askonce.telemetry import log
from tests.databases import PostgresTemplates, SqliteTemplates, postgres_server
from tests.stub.loopback_only import loopback_only

# Looking through these for clocks to freeze takes seconds, and imports half of the SDKs.
freezegun.configure(
    extend_ignore_list=[
        "anthropic",
        "fastapi",
        "httpx2",
        "openai",
        "psycopg",
        "pydantic",
        "sqlalchemy",
        "starlette",
    ]
)

# A machine that is busy with other things is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True, scope="session")
def _stay_on_this_machine() -> Iterator[None]:
    with loopback_only():
        yield


@pytest.fixture(autouse=True, scope="session")
def _spool_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Without this, applications over PostgreSQL would make folders where the tests are run."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ASKONCE_SPOOL", str(tmp_path_factory.mktemp("spool")))
        yield


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """Undo what commands do to the log when they run in the tests' own process."""
    yield
    structlog.reset_defaults()
    vars(log._log).pop("bind", None)  # noqa: SLF001 - structlog's cache has no other way out
    log._ShortWay.lines, log._ShortWay.is_silent = None, False  # noqa: SLF001


@pytest.fixture(scope="session")
def sqlite_templates(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplates:
    return SqliteTemplates(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_templates(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[PostgresTemplates]:
    with postgres_server(tmp_path_factory.mktemp("pg")) as url:
        yield PostgresTemplates(url)


@pytest.fixture
def sqlite_url(sqlite_templates: SqliteTemplates) -> str:
    return sqlite_templates.copy()


@pytest.fixture
def postgres_url(postgres_templates: PostgresTemplates) -> str:
    return postgres_templates.copy()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return a migrated, empty database of each kind in turn."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest) -> str:
    """Return a database of each kind in turn that was never migrated."""
    if request.param == "sqlite":
        templates: SqliteTemplates = request.getfixturevalue("sqlite_templates")
        return templates.create()
    servers: PostgresTemplates = request.getfixturevalue("postgres_templates")
    return servers.create()


@pytest.fixture
def database(database_url: str) -> Iterator[SqlDatabase]:
    database = SqlDatabase(database_url)
    yield database
    database.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long: else one process works at the end, and the others wait."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
