"""What is built is whole: both archives, and an installation that has nothing but the wheel."""

import json
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from askonce.db.schema import newest
from tests.e2e.asking import analyze, get
from tests.serving import Servers, bare_environment

ROOT = Path(__file__).parents[2]
# What is for the repository alone.
LEFT_OUT = (".ci/", ".gitattributes")


@dataclass(frozen=True, slots=True)
class Built:
    """The source archive, and the command of an environment into which the wheel was installed."""

    sdist: Path
    askonce: Path

    def run(self, *arguments: str, folder: Path) -> str:
        done = subprocess.run(
            [self.askonce, *arguments],
            env=bare_environment(),
            cwd=folder,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build the source archive, from it the wheel, and install that without a network."""
    folder = tmp_path_factory.mktemp("built")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist", ROOT)
    (sdist,) = folder.glob("dist/*.tar.gz")
    (wheel,) = folder.glob("dist/*.whl")
    call(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    python = folder / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check")
    call(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel)
    # What it depends on comes from the tests' own environment; askonce does not, as files that
    # lead to a checkout count only in an environment's own folder.
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return Built(sdist, python.with_name("askonce"))


def call(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout.decode()


def test_the_source_archive_has_every_file_of_the_repository(built: Built) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: nothing says which files belong to the repository")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    there = {name for name in listed if name and (ROOT / name).exists()}
    with tarfile.open(built.sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}

    assert sorted(name for name in there - packed if not name.startswith(LEFT_OUT)) == []
    assert sorted(packed - there) == ["PKG-INFO"]


def test_the_wheel_brings_migrations_and_all_commands(built: Built, tmp_path: Path) -> None:
    assert "serve" in built.run("--help", folder=tmp_path)
    assert built.run("db", "upgrade", folder=tmp_path) == f"{newest()}\n"
    assert built.run("db", "check", folder=tmp_path) == f"{newest()}\n"
    assert (tmp_path / "askonce.db").exists()


def health_check() -> list[str]:
    """Return the command with which the container image asks whether it is well."""
    text = (ROOT / "deploy" / "Dockerfile").read_text().partition("HEALTHCHECK")[2]
    command: list[str] = json.loads(text.partition("CMD ")[2].splitlines()[0])
    return command


def test_the_wheel_serves(built: Built, servers: Servers, tmp_path: Path) -> None:
    server = servers.begin_bare(str(built.askonce), "serve").wait_until_ready()
    where = subprocess.run(
        [built.askonce.with_name("python"), "-c", "import askonce; print(askonce.__file__)"],
        cwd=tmp_path,
        env=bare_environment(),
        check=True,
        capture_output=True,
        text=True,
    )

    assert analyze(server, "hello").status == 200
    assert get(server, "/docs").status == 200
    assert get(server, "/docs/static/swagger-ui.css").status == 200
    assert where.stdout.startswith(str(built.askonce.parents[1]))
    spec = tmp_path / "spec.toml"
    spec.write_text(
        'name = "s"\n[[prompts]]\nid = "a"\ntext = "Say yes."\nexpect = { max_words = 1000 }'
    )
    told = built.run("eval", str(spec), "--url", f"http://127.0.0.1:{server.port}", folder=tmp_path)
    assert "1 of 1" in told
    asks = {**bare_environment(), "ASKONCE_PORT": str(server.port)}
    assert subprocess.run(health_check(), check=False, env=asks).returncode == 0
    server.kill()
    stopped = subprocess.run(health_check(), check=False, env=asks, stderr=subprocess.DEVNULL)
    assert stopped.returncode == 1
