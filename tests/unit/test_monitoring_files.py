"""The dashboard, the alerts and the page about them name what there is, and all of it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from askonce.telemetry.instruments import Instruments

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"\baskonce_[a-z_]+")


def shown() -> set[str]:
    """Return the names that Prometheus knows our numbers by, without a histogram's parts."""
    registry = CollectorRegistry()
    Instruments(registry)
    return {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in registry.collect()
    }


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DOCS / "grafana-dashboard.json").read_text())
    return loaded


def named(text: str) -> set[str]:
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in NAME.findall(text)}


def test_the_page_lists_exactly_the_metrics_that_there_are() -> None:
    page = (DOCS / "operations.md").read_text()
    table = page.partition("| metric |")[2].partition("\n\n")[0]

    assert named(table) == shown()


def test_the_dashboard_shows_exactly_the_metrics_that_there_are() -> None:
    expressions = [
        target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())
    ]

    assert named(" ".join(expressions)) == shown()


def test_the_alerts_look_only_at_metrics_that_there_are_and_the_page_explains_each() -> None:
    rules = (DOCS / "alerts.yml").read_text()
    alerts = set(re.findall(r"alert: (\w+)", rules))
    explained = re.findall(
        r"^\| `(Askonce\w+)` \|", (DOCS / "operations.md").read_text(), re.MULTILINE
    )

    assert named(rules) <= shown()
    assert sorted(explained) == sorted(alerts)


def test_the_dashboard_can_be_imported() -> None:
    """Grafana wants ids that differ, and a data source that the importer can choose."""
    board = dashboard()
    ids = [panel["id"] for panel in board["panels"]]

    assert len(set(ids)) == len(ids)
    assert board["schemaVersion"] >= 39
    assert [one["name"] for one in board["templating"]["list"] if one["type"] == "datasource"] == [
        "datasource"
    ]
    assert {
        target["datasource"]["uid"]
        for panel in board["panels"]
        for target in panel.get("targets", ())
    } == {"${datasource}"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: prometheus)")
def test_prometheus_takes_the_alerts() -> None:
    said = subprocess.run(
        ["promtool", "check", "rules", DOCS / "alerts.yml"],
        capture_output=True,
        check=False,
        text=True,
    )

    assert said.returncode == 0, said.stderr


def test_every_alert_has_what_it_needs() -> None:
    rules = (DOCS / "alerts.yml").read_text().split("- alert: ")[1:]

    for rule in rules:
        assert re.search(r"^        expr: ", rule, re.MULTILINE)
        assert re.search(r"severity: (page|warn)", rule)
        assert "summary: " in rule
