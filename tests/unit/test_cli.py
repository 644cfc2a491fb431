import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import askonce
from askonce.cli import app
from askonce.cli.welcome import Welcome
from askonce.config import Settings, load_settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Somebody's empty folder, with no settings of theirs; `serve` changes it for its workers."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT", "WORKERS"):
        monkeypatch.setenv(f"ASKONCE_{name}", "")
    monkeypatch.setenv("ASKONCE_DATABASE_URL", f"sqlite:///{tmp_path}/askonce.db")
    return monkeypatch


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_says_its_version() -> None:
    result = run("--version")

    assert result.output == f"askonce {askonce.__version__}\n"


def test_explains_itself_without_arguments() -> None:
    result = run()

    assert "serve" in result.output


def test_runs_as_a_module() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "askonce", "--version"], check=True, capture_output=True, text=True
    )

    assert result.stdout == f"askonce {askonce.__version__}\n"


def test_imports_nothing_heavy_before_it_must() -> None:
    heavy = {"anthropic", "fastapi", "httpx2", "openai", "pydantic", "sqlalchemy", "uvicorn"}
    code = f"import sys, askonce.cli; print(sorted({heavy} & set(sys.modules)))"

    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )

    assert result.stdout == "[]\n"


@pytest.mark.usefixtures("environment")
def test_refuses_to_be_reached_from_elsewhere() -> None:
    result = run("serve", "--host", "0.0.0.0", "--port", "0")  # noqa: S104

    assert result.exit_code == 2
    assert result.stderr == (
        "askonce: ASKONCE_HOST=0.0.0.0 is refused while there is no key, as others than this"
        " machine could call: make one with `askonce keys create NAME`\n"
    )


@pytest.mark.usefixtures("environment")
def test_names_a_wrong_setting_in_one_line() -> None:
    result = run("serve", "--port", "70000")

    assert result.exit_code == 2
    assert re.fullmatch(r"askonce: ASKONCE_PORT: [^\n]+\n", result.stderr)


def test_notices_a_setting_that_does_not_exist(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ASKONCE_CACHE_TLT", "60")

    result = run("serve", "--host", "192.0.2.1")

    assert "ASKONCE_CACHE_TLT is set, but there is no such setting" in result.stderr


def test_an_option_outranks_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ASKONCE_HOST", "127.0.0.1")

    result = run("serve", "--host", "192.0.2.1")

    assert result.stderr.startswith("askonce: 192.0.2.1 port ")


@pytest.mark.usefixtures("environment")
def test_says_that_its_port_is_in_use(taken_port: int) -> None:
    result = run("serve", "--port", str(taken_port))

    assert result.exit_code == 1
    assert result.stderr == (
        f"askonce: 127.0.0.1 port {taken_port}: Address already in use"
        " (ASKONCE_HOST, ASKONCE_PORT)\n"
    )


@pytest.mark.usefixtures("environment")
def test_welcomes_with_a_command_to_paste() -> None:
    text = Welcome(load_settings(), 8123, has_keys=False).text()

    assert "http://127.0.0.1:8123/\n" in text
    assert "http://127.0.0.1:8123/docs" in text
    assert "curl -i http://127.0.0.1:8123/analyze/alice" in text
    assert "$KEY" not in text


@pytest.mark.usefixtures("environment")
def test_welcomes_with_a_key_where_one_is_needed() -> None:
    assert '-H "authorization: Bearer $KEY"' in Welcome(load_settings(), 8123, has_keys=True).text()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///some.db", "sqlite:///some.db"),
        ("postgresql://ann:s3cret@db:5432/askonce", "postgresql://db:5432/askonce"),
        ("postgresql://ann:s3/cr?et@db/askonce?password=s3cret", "postgresql://db/askonce"),
    ],
)
def test_shows_no_password(url: str, shown: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("ASKONCE_DATABASE_URL", url)

    text = Welcome(Settings(), 8000, has_keys=False).text()

    assert re.findall(r"database +(\S+)", text) == [shown]


def test_a_server_does_not_import_the_client() -> None:
    program = "import askonce.main.process, sys; assert 'askonce.client' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
