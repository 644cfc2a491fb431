from pathlib import Path

import pytest

from tests.e2e.asking import analyze, history
from tests.serving import Servers


def test_four_processes_may_start_at_one_moment_on_an_empty_database(
    servers: Servers, empty_database_url: str
) -> None:
    started = [servers.begin(empty_database_url) for _ in range(4)]
    ready = [server.wait_until_ready() for server in started]

    analyze(ready[0], "hello")

    assert [len(history(server)) for server in ready] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASKONCE_PORT", "eighty"),
        ("ASKONCE_MAX_CALLS", "0"),
        ("ASKONCE_CACHE_TTL", "-1"),
        ("ASKONCE_DEADLINE", "nan"),
        ("ASKONCE_PROVIDER", "gemini"),
        ("ASKONCE_PROVIDER", "claude"),
        ("ASKONCE_CACHE_SCOPE", "planet"),
        ("ASKONCE_LOG_LEVEL", "LOUD"),
        ("ASKONCE_HOST", "0.0.0.0"),  # noqa: S104 - it is refused
        ("ASKONCE_DATABASE_URL", "mysql://root:secret@localhost/askonce"),
        ("ASKONCE_DATABASE_URL", "sqlite:///no/such/folder/askonce.db"),
        ("ASKONCE_DATABASE_URL", "sqlite:///"),
        ("ASKONCE_DATABASE_URL", "postgresql://root:secret@127.0.0.1:9/askonce"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(
    servers: Servers, name: str, value: str
) -> None:
    server = servers.begin_bare(OPENAI_API_KEY="stub", **{name: value})

    code = server.wait()

    lines = server.log().splitlines()
    assert code in {1, 2}
    assert len(lines) == 1
    assert name in lines[0]
    assert "secret" not in lines[0]
