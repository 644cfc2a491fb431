"""Who sees what of the console: every page, with every kind of key behind the cookie."""

from collections.abc import Iterator

import pytest

from tests.http.browsing import Browser
from tests.http.test_walls import url
from tests.http.walls import MARKER, MATRIX, Reach, Row, Who, World, world

CONVERSATION = "/console/conversations/{sessions}"
# What is Alice's, by path and form; those that change something come last.
PAGES: dict[str, Row] = {
    "GET /?user=alice": Row(reach=Reach.OF_USER),
    "GET /console/conversations?user=alice": Row(reach=Reach.OF_USER, shows=True),
    f"GET {CONVERSATION}": Row(reach=Reach.BY_ID, shows=True),
    "GET /console/history?user=alice": Row(reach=Reach.OF_USER, shows=True),
    "GET /console/history/export?user=alice": Row(reach=Reach.OF_USER, shows=True),
    "GET /console/usage?user=alice": Row(reach=Reach.OF_USER),
    "GET /console/live": Row(reach=Reach.KEYS),
    "GET /console/live/levels": Row(reach=Reach.KEYS),
    "GET /console/audit": Row(reach=Reach.ADMINS),
    "POST /console/ask": Row(reach=Reach.OF_USER, body={"text": "x", "user": "alice"}),
    "POST /console/conversations": Row(
        reach=Reach.OF_USER, ok=303, stranger=303, body={"title": "x", "user": "alice"}
    ),
    f"POST {CONVERSATION}/messages": Row(reach=Reach.BY_ID, ok=303, body={"content": "x"}),
    f"POST {CONVERSATION}/rename": Row(reach=Reach.BY_ID, ok=303, body={"title": MARKER}),
    "POST /console/history/{history}/delete": Row(reach=Reach.BY_ID, ok=303, body={}),
    f"POST {CONVERSATION}/delete": Row(reach=Reach.BY_ID, ok=303, body={}),
}
WHO = [who for who in Who if who not in (Who.NOBODY, Who.WRONG, Who.REVOKED)]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def everybody(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from world(url(request))


@pytest.fixture(scope="module")
def browsers(everybody: World) -> dict[Who, Browser]:
    signed_in: dict[Who, Browser] = {who: Browser(everybody.service.app) for who in WHO}
    for who, browser in signed_in.items():
        assert browser.sign_in(everybody.texts[who]).status_code == 303
    return signed_in


@pytest.mark.parametrize("page", PAGES)
def test_each_key_reaches_what_is_its_own(
    everybody: World, browsers: dict[Who, Browser], page: str
) -> None:
    row = PAGES[page]
    method, _, template = page.partition(" ")
    ids = everybody.of_alice()
    seen = {}

    for who, browser in browsers.items():
        if method == "GET":
            answered = browser.open(template.format(**ids))
        else:
            # Where a form leads back to is chosen by its sender, and is a page of its own.
            answered = browser.send(
                template.format(**ids), {"csrf": browser.token("/console/live"), **row.body}
            )
            ids = everybody.of_alice() if answered.status_code < 400 else ids
        seen[who] = (answered.status_code, MARKER in answered.text)

    assert seen == {who: row.expected(who) for who in WHO}


def test_every_page_that_needs_a_cookie_is_tried() -> None:
    needing = {route for route, row in MATRIX.items() if row.reach is Reach.COOKIES}
    tried = {
        page.partition("?")[0].replace("{sessions}", "{id}").replace("{history}", "{id}")
        for page in PAGES
    }

    assert needing - tried == {"POST /console/sign-out"}
