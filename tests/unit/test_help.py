"""What the command line says of itself."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from askonce.cli import app
from askonce.cli.examples import EXAMPLES

ROOT: Any = typer.main.get_command(app)


def commands(command: Any = ROOT, path: str = "") -> Iterator[str]:
    """Yield how each command is called, groups of commands included."""
    for name, below in getattr(command, "commands", {}).items():
        yield f"{path}{name}"
        yield from commands(below, f"{path}{name} ")


@pytest.mark.parametrize("path", list(commands()))
def test_each_command_explains_itself_with_examples(path: str) -> None:
    shown = CliRunner().invoke(app, [*path.split(), "--help"])

    assert shown.exit_code == 0
    assert EXAMPLES.get(path), f"{path} has no example in cli/examples.py"
    assert EXAMPLES[path][0].split()[0] in shown.stdout.partition("Examples:")[2]


@pytest.mark.parametrize("example", sorted({one for some in EXAMPLES.values() for one in some}))
def test_each_example_is_one_that_the_command_takes(example: str) -> None:
    """Nothing is run: names, options and their values are read as they would be."""
    words = shlex.split(example.replace("$(", " ").replace(")", " "))
    words = words[words.index("askonce") + 1 :]
    ends = [words.index(one) for one in ("|", ">", "<") if one in words]
    words = words[: min(ends, default=len(words))]

    command = ROOT
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]

    assert command.make_context("askonce", words)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_be_told_how_to_complete(shell: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "askonce", "--show-completion", shell],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "_ASKONCE_COMPLETE" in shown.stdout


def test_a_shell_is_offered_the_commands_that_begin_so(tmp_path: Path) -> None:
    asked = {"_ASKONCE_COMPLETE": "complete_bash", "COMP_WORDS": "askonce an", "COMP_CWORD": "1"}

    offered = subprocess.run(
        [sys.executable, "-m", "askonce"],
        env={**os.environ, **asked},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert offered.stdout.split() == ["analyze"]
