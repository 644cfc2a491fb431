"""What runs every night fits the command: options, settings, and the folder of results."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from askonce.cli import app
from askonce.config import Settings
from docs.settings import variable

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    text = (ROOT / ".github" / "workflows" / "evaluation.yml").read_text()
    read: dict[str, Any] = yaml.safe_load(text)["jobs"]["samples"]
    return read


@pytest.fixture(scope="module")
def parameters() -> dict[str, Any]:
    """Return the parameters of `askonce eval` by their options."""
    group: Any = typer.main.get_command(app)
    return {option: one for one in group.commands["eval"].params for option in one.opts}


def test_its_options_exist(job: dict[str, Any], parameters: dict[str, Any]) -> None:
    script = next(step["run"] for step in job["steps"] if "askonce eval" in step.get("run", ""))
    options = set(re.findall(r"--[a-z-]+", script))

    assert {"--provider", "--judge", "--against"} <= options
    assert options - set(parameters) == set()
    assert (ROOT / "evals" / "samples.toml").exists()


def test_what_it_keeps_is_where_results_are(
    job: dict[str, Any], parameters: dict[str, Any]
) -> None:
    folder = str(parameters["--results"].default)
    kept = {step["uses"]: step["with"].get("path") for step in job["steps"] if "uses" in step}

    assert kept["actions/upload-artifact@v4"] == kept["actions/cache@v4"] == folder
    assert f"{folder}/" in (ROOT / ".gitignore").read_text().splitlines()


def test_its_settings_exist(job: dict[str, Any]) -> None:
    known = {variable(name, info.validation_alias) for name, info in Settings.model_fields.items()}
    named = {name for name in job["env"] if not name.startswith("EVAL_")}

    assert named <= known
