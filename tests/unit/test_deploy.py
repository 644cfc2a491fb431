"""What is in deploy/ fits the code: paths and settings that exist, times that are enough."""

import json
import re
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from askonce.cli.serve import GRACE_SECONDS, KEEP_ALIVE_SECONDS
from askonce.config import Settings
from docs.settings import variable

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DEFAULT = Settings(_env_file=None)
KNOWN = {variable(name, info.validation_alias) for name, info in Settings.model_fields.items()}
# A call, and then a database that is away.
LONGEST_ANSWER = DEFAULT.deadline + DEFAULT.commit_patience
LONGEST_END = DEFAULT.deadline + GRACE_SECONDS


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions, continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return read


@pytest.fixture(scope="module")
def unit() -> dict[str, str]:
    parser = RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "askonce.service")
    return dict(parser["Service"])


def test_the_image_copies_what_is_there_and_what_is_let_through(
    dockerfile: list[tuple[str, str]],
) -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    copied = {
        source
        for instruction, words in dockerfile
        if instruction == "COPY" and not words.startswith("--from")
        for source in words.split()[:-1]
    }

    assert copied == let_through
    assert [source for source in copied if not (ROOT / source).exists()] == []


def test_the_image_runs_as_nobody_in_particular(dockerfile: list[tuple[str, str]]) -> None:
    last_stage = dockerfile[[name for name, _ in dockerfile].index("FROM", 1) :]
    facts = dict(last_stage)

    assert facts["USER"] == "10001:10001"
    assert facts["VOLUME"] == "/data"
    assert (facts["ENTRYPOINT"], facts["CMD"]) == ('["askonce"]', '["serve"]')
    assert "HEALTHCHECK" in facts


def test_all_settings_that_are_set_exist(
    dockerfile: list[tuple[str, str]], compose: dict[str, Any], unit: dict[str, str]
) -> None:
    in_image = re.findall("(ASKONCE_[A-Z_]+)=", " ".join(words for _, words in dockerfile))
    in_compose = [*compose["x-askonce"]["environment"]]
    in_unit = re.findall("(ASKONCE_[A-Z_]+)=", unit["Environment"])

    assert {*in_image, *in_compose, *in_unit} <= KNOWN
    assert len(in_image) > 2


def test_both_replicas_are_confined_and_have_a_spool_of_their_own(compose: dict[str, Any]) -> None:
    replicas = [compose["services"][name] for name in ("askonce-1", "askonce-2")]

    assert all(replica["read_only"] and replica["cap_drop"] == ["ALL"] for replica in replicas)
    assert all(replica["environment"]["ASKONCE_MIGRATE"] == "never" for replica in replicas)
    assert len({replica["volumes"][0] for replica in replicas}) == 2
    assert compose["services"]["migrate"]["command"] == ["db", "upgrade"]
    assert {volume.partition(":")[0] for one in replicas for volume in one["volumes"]} < {
        *compose["volumes"]
    }


def test_whoever_ends_it_has_the_patience_that_it_needs(
    compose: dict[str, Any], unit: dict[str, str]
) -> None:
    assert int(compose["x-askonce"]["stop_grace_period"].removesuffix("s")) > LONGEST_END
    assert int(unit["TimeoutStopSec"]) > LONGEST_END
    assert unit["RestartPreventExitStatus"] == "2"


def test_nginx_waits_for_the_longest_answer_and_repeats_no_post() -> None:
    text = (DEPLOY / "nginx.conf").read_text()
    said = dict(re.findall(r"^\s+([a-z_]+) ([^{}\n]+);$", text, flags=re.MULTILINE))

    assert int(said["proxy_read_timeout"].removesuffix("s")) > LONGEST_ANSWER
    assert said["proxy_buffering"] == "off"
    assert said["proxy_next_upstream"] == "error timeout"
    # nginx keeps an idle connection to a replica for a minute.
    assert KEEP_ALIVE_SECONDS > 60
    problem = json.loads(re.search(r"return 503 '(.*)';", text)[1])  # type: ignore[index]
    assert problem["status"] == 503
