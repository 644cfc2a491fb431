"""How commands reach a service: at a URL, or inside themselves on either database."""

import threading
from pathlib import Path

import pytest
import typer

from askonce.cli.reaching import reached
from askonce.client import ProblemError
from tests.serving import until
from tests.stub.client import StubProvider


@pytest.fixture(autouse=True)
def _on_a_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stub: StubProvider, empty_database_url: str
) -> None:
    """Work on a database that nobody has set up yet, with one provider, which costs nothing."""
    monkeypatch.chdir(tmp_path)
    for name in ("ANTHROPIC_API_KEY", "ASKONCE_URL", "ASKONCE_KEY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("ASKONCE_DATABASE_URL", empty_database_url)
    monkeypatch.setenv("OPENAI_API_KEY", "stub")
    monkeypatch.setenv("OPENAI_BASE_URL", stub.openai_url)


def test_without_a_url_the_service_is_inside_the_command_and_remembers(stub: StubProvider) -> None:
    with reached(None, None) as client:
        first = client.analyze("ann", "What is inside?")
    with reached(None, None) as client:
        again = client.analyze("bob", "What is inside?")
        audited = [event["action"] for event in client.audit()]

    assert (first.cached, again.cached) == (False, True)
    assert len(stub.calls()) == 1
    assert audited.count("analyze") == 2


def test_two_commands_at_once_ask_once(stub: StubProvider) -> None:
    with reached(None, None) as one, reached(None, None) as other:
        results: list[str] = []

        def ask() -> None:
            results.append(one.analyze("ann", "At once? [[held=start]]").result)

        asking = threading.Thread(target=ask)
        asking.start()
        until(lambda: stub.state()["running"] == 1)
        timer = threading.Timer(0.3, stub.let_go)
        timer.start()
        results.append(other.analyze("bob", "At once? [[held=start]]").result)
        asking.join()
        timer.join()

    assert len(stub.calls()) == 1
    assert results[0] == results[1]


def test_an_operator_stays_in_the_tenant_that_was_named() -> None:
    with reached(None, None, tenant="acme") as client:
        client.analyze("ann", "Whose?")
        assert len(list(client.history("ann"))) == 1

    with reached(None, None) as client:
        assert list(client.history("ann")) == []


def test_what_is_refused_ends_the_command_with_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(typer.Exit) as caught, reached(None, None) as client:
        client.analyze("ann", "What?", max_output_tokens=0)

    said = capfd.readouterr().err
    assert caught.value.exit_code == 1
    assert said.startswith("askonce: ")
    assert said.count("\n") == 1
    assert "max_output_tokens: " in said
    assert "(422 validation, request " in said


def test_what_is_refused_can_be_dealt_with_and_the_command_goes_on() -> None:
    with reached(None, None) as client:
        with pytest.raises(ProblemError):
            client.analyze("ann", "What?", max_output_tokens=0)
        assert not client.analyze("ann", "What?").cached


@pytest.mark.parametrize(
    ("url", "tenant", "name", "value", "says"),
    [
        ("localhost:8000", "default", "OPENAI_API_KEY", "stub", "ASKONCE_URL: is not an address"),
        ("http://127.0.0.1:1", "acme", "OPENAI_API_KEY", "stub", "--tenant: "),
        (None, "a/b", "OPENAI_API_KEY", "stub", "--tenant: "),
        (None, "default", "ASKONCE_CACHE_TTL", "soon", "ASKONCE_CACHE_TTL: "),
        (None, "default", "ASKONCE_PROVIDER", "claude", "ASKONCE_PROVIDER=claude"),
        (None, "default", "ASKONCE_MIGRATE", "never", "askonce db upgrade"),
    ],
)
def test_what_is_set_wrong_ends_the_command_with_its_name(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    *,
    url: str | None,
    tenant: str,
    name: str,
    value: str,
    says: str,
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(typer.Exit) as caught, reached(url, None, tenant=tenant):
        pass

    said = capfd.readouterr().err
    assert caught.value.exit_code == 2
    assert says in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("is_verbose", [False, True])
def test_the_log_of_the_service_inside_is_for_those_who_ask_for_it(
    capfd: pytest.CaptureFixture[str], *, is_verbose: bool
) -> None:
    with reached(None, None, is_verbose=is_verbose) as client:
        client.health()

    assert ("/health" in capfd.readouterr().err) == is_verbose
