import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CONFIG = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
CONTRACTS = CONFIG["tool"]["importlinter"]["contracts"]
LIBRARIES = sorted(
    {
        library
        for contract in CONTRACTS
        for library in contract.get("forbidden_modules", ())
        if contract["source_modules"] == ["askonce"]
    }
)
BAD = {
    "stray.py": "",
    "core/bad.py": "import askonce.config, backoff, askonce.core.worse",
    "core/worse.py": "import askonce.core.bad",
    "evaluation/bad.py": "import askonce.config",
    "services/bad.py": f"import {', '.join(LIBRARIES)}",
}


def lint(folder: Path) -> str:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--no-logo"],
        check=False,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder / "src"), "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return result.stdout


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a copy of the code in which every rule is broken on purpose."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(CHECKOUT / "pyproject.toml", folder)
    package = folder / "src" / "askonce"
    shutil.copytree(CHECKOUT / "src" / "askonce", package)
    for name, text in BAD.items():
        (package / name).write_text(text)
    return lint(folder)


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract["name"])
def test_every_rule_bites(contract: dict[str, str], verdict: str) -> None:
    assert f"{contract['name']} BROKEN" in verdict


def test_a_folder_without_a_place_is_noticed(verdict: str) -> None:
    assert "stray" in verdict.partition("Broken contracts")[2]
