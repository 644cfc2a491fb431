"""Keys are made beside a server that runs, and it heeds them."""

from typer.testing import CliRunner

from askonce.cli import app
from tests.e2e.asking import Call, at_once
from tests.serving import Server, Servers, until


def keys(database_url: str, *arguments: str) -> str:
    """Run `askonce keys`, and return what it says on standard output."""
    environment = {"ASKONCE_DATABASE_URL": database_url}
    done = CliRunner().invoke(app, ["keys", *arguments], env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def status(server: Server, key: str | None = None) -> int:
    """Return what a question of Ann's is answered with."""
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    call = Call(port=server.port, body=b'{"text": "hello"}', headers=headers)
    return at_once([call])[0].status


def test_each_process_heeds_a_key_from_when_it_is_made_until_it_is_revoked(
    servers: Servers, database_url: str
) -> None:
    started = [servers.begin(database_url, ASKONCE_LOG_LEVEL="DEBUG") for _ in range(2)]
    first, second = (server.wait_until_ready() for server in started)
    assert [status(first), status(second)] == [200, 200]

    key = keys(database_url, "create", "web", "--user", "ann")

    for server in (first, second):
        until(lambda server=server: status(server, key) == 200)  # type: ignore[misc]
        assert status(server) == 401

    keys(database_url, "revoke", "web")

    for server in (first, second):
        until(lambda server=server: status(server, key) == 401)  # type: ignore[misc]
        assert "callers_need_no_key" in server.log()
        assert key[10:] not in server.log()


def test_other_machines_are_served_only_where_there_is_a_key(
    servers: Servers, database_url: str
) -> None:
    refused = servers.begin(database_url, ASKONCE_HOST="0.0.0.0")  # noqa: S104
    assert refused.wait() == 2
    assert refused.log().count("\n") == 1

    key = keys(database_url, "create", "web")
    server = servers.start(database_url, ASKONCE_HOST="0.0.0.0", ASKONCE_WORKERS=2)  # noqa: S104

    assert [status(server), status(server, key)] == [401, 200]
    assert "callers_need_no_key" not in server.log()


def test_localhost_is_this_machine(servers: Servers, sqlite_url: str) -> None:
    server = servers.start(sqlite_url, ASKONCE_HOST="localhost")

    assert status(server) == 200
