"""The documentation: a site without dead links or anything from elsewhere, true to the settings."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from docs import settings

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class Page:
    """What a page leads to, what it is made of, and where in it one can be led."""

    links: list[str] = field(default_factory=list)
    assets: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        facts = dict(attrs)
        leads_to = facts.get("href") or facts.get("src")
        if leads_to:
            (self.page.links if tag == "a" else self.page.assets).append(leads_to)
        if facts.get("id"):
            self.page.anchors.add(str(facts["id"]))


@cache
def read(file: Path) -> Page:
    reader = Reader()
    reader.feed(file.read_text())
    return reader.page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, where a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    sphinx = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command = [*sphinx, "--builder", "dirhtml", str(ROOT / "docs"), str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def pages(site: Path) -> Iterator[tuple[Path, Page]]:
    for file in site.rglob("*.html"):
        yield file, read(file)


def test_every_link_within_the_site_leads_somewhere(site: Path) -> None:
    dead = []
    for file, page in pages(site):
        for link in [*page.links, *page.assets]:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (file.parent / parts.path).resolve() if parts.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (parts.fragment and not _has_anchor(target, parts.fragment)):
                dead.append(f"{file.relative_to(site)}: {link}")

    assert dead == []
    assert (site / "decisions" / "index.html").exists()


def _has_anchor(target: Path, fragment: str) -> bool:
    return fragment in read(target).anchors


def test_the_site_takes_nothing_from_elsewhere(site: Path) -> None:
    assets = {asset for _, page in pages(site) for asset in page.assets}
    styles = "".join(file.read_text() for file in site.rglob("*.css"))

    assert [asset for asset in assets if urlsplit(asset).netloc] == []
    assert re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//[^\s)]*", styles) == []


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md"])
def test_links_of_the_front_pages_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    links = [urlsplit(link) for link in re.findall(r"\]\(([^)\s]+)\)", text)]

    local = [link.path for link in links if not link.netloc and link.path]
    assert [path for path in local if not (ROOT / path).exists()] == []


def test_the_page_of_settings_is_that_of_the_code() -> None:
    assert settings.PAGE.read_text() == settings.page(), "run: python -m docs.settings"


def test_the_example_has_each_setting_with_its_default() -> None:
    shown = {name: value for group in settings.groups() for name, value in group.examples.items()}

    for name, default in settings.defaults().items():
        assert name in shown, f"{name} is not in .env.example"
        if default not in (None, (), {}):
            written = f"{default:g}" if isinstance(default, float) else str(default)
            assert shown[name] == written, name
