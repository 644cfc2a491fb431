"""How a server starts, alone and among others."""

from tests.e2e.asking import analyze, history
from tests.serving import Servers

WRONG = [
    ("ASKONCE_MAX_CALLS", "0"),
    ("ASKONCE_DEADLINE", "nan"),
    ("ASKONCE_CACHE_SCOPE", "planet"),
    ("ASKONCE_PROVIDER", "gemini"),
    ("ASKONCE_PROVIDER", "claude"),
    ("ASKONCE_HOST", "192.0.2.1"),
    ("ASKONCE_DATABASE_URL", "mysql://ann:secret@localhost/askonce"),
    ("ASKONCE_DATABASE_URL", "postgresql://ann:secret@127.0.0.1:port/askonce"),
    ("ASKONCE_DATABASE_URL", "postgresql://ann:secret@127.0.0.1:9/askonce"),
    ("ASKONCE_DATABASE_URL", "sqlite:///no/such/folder/secret.db"),
    ("ASKONCE_DATABASE_URL", "sqlite:////bin/sh"),
]


def test_four_processes_may_start_at_one_moment_on_an_empty_database(
    servers: Servers, empty_database_url: str
) -> None:
    started = [servers.begin(empty_database_url) for _ in range(4)]
    ready = [server.wait_until_ready() for server in started]

    analyze(ready[0], "hello")

    assert [len(history(server)) for server in ready] == [1, 1, 1, 1]


def test_a_wrong_setting_stops_the_start_with_one_line_that_names_it(servers: Servers) -> None:
    started = [servers.begin_bare(OPENAI_API_KEY="stub", **{name: value}) for name, value in WRONG]

    codes = [server.wait() for server in started]
    lines = [server.log().splitlines() for server in started]

    assert set(codes) == {1, 2}
    assert [len(said) for said in lines] == [1] * len(WRONG)
    assert [name in said[0] for (name, _), said in zip(WRONG, lines, strict=True)] == [True] * 11
    assert not any("secret" in said[0] for said in lines)


def test_with_no_setting_at_all_the_embedded_model_answers(servers: Servers) -> None:
    server = servers.begin_bare().wait_until_ready()

    first = analyze(server, "Is this happy or angry? Two weeks late, and the wrong colour.")
    second = analyze(server, "Is this happy or angry? Two weeks late, and the wrong colour.")

    assert (first.status, second.status) == (200, 200)
    assert (first.json["provider"], first.json["cached"]) == ("local", False)
    assert (second.json["result"], second.json["cached"]) == (first.json["result"], True)
    assert second.headers["cache-status"].startswith("askonce; hit; ttl=86")
    assert second.seconds < 5
