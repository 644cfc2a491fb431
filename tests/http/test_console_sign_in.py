"""Signing in to the console: a token instead of the key, for a while, and never from elsewhere."""

import secrets
from datetime import timedelta

import pytest
from freezegun import freeze_time
from httpx2 import Response
from sqlalchemy import text

from askonce.core.access import Role
from askonce.core.clock import SystemClock
from askonce.core.keys import digest_of
from askonce.core.retention import Kind
from askonce.services.keys import Keys, Made
from tests.http.browsing import Browser
from tests.http.conftest import Service
from tests.http.test_books import trail
from tests.serving import until

HISTORY = "/console/history"


class Locked:
    """An application with a key, which is Ann's own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.keys = Keys(
            database=service.process.database,
            clock=SystemClock(),
            random_bytes=secrets.token_bytes,
        )
        self.key = self.keys.create("ann", tenant="default", role=Role.USER, user_id="ann")
        until(lambda: self.is_good(self.key))

    def is_good(self, made: Made) -> bool:
        headers = {"authorization": f"Bearer {made.text}"}
        return self.service.client.get("/users/ann/preferences", headers=headers).is_success

    def browser(self, **options: str) -> Browser:
        return Browser(self.service.app, **options)

    def signed_in(self) -> Browser:
        browser = self.browser()
        assert browser.sign_in(self.key.text).status_code == 303
        assert browser.open(HISTORY).status_code == 200
        return browser

    def rows(self) -> list[tuple[bytes, str | None]]:
        with self.service.process.database.reading() as tx:
            found = tx.connection.execute(text("SELECT digest, user_id FROM console_sessions"))
            return [(bytes(row.digest), row.user_id) for row in found]


@pytest.fixture
def locked(service: Service) -> Locked:
    return Locked(service)


def cookie_of(response: Response) -> dict[str, str]:
    """Return the name, the value and the flags of the cookie that is set."""
    [cookie] = [one for one in response.headers.get_list("set-cookie") if "session" in one]
    name, _, rest = cookie.partition("=")
    value, *flags = rest.split("; ")
    return {"name": name, "value": value} | {
        flag.partition("=")[0]: flag.partition("=")[2] for flag in flags
    }


def test_nothing_is_shown_before_a_key_is(locked: Locked) -> None:
    browser = locked.browser()
    with_key = {"authorization": f"Bearer {locked.key.text}", "x_api_key": locked.key.text}

    for headers in ({}, with_key):
        page = browser.open(HISTORY, **headers)
        part = browser.open(HISTORY, hx_request="true", **headers)
        assert page.status_code == part.status_code == 401
        assert 'name="key"' in page.text
        assert part.headers["hx-redirect"] == "/console/sign-in"


def test_on_this_machine_the_cookie_holds_a_random_token_that_scripts_cannot_read(
    locked: Locked,
) -> None:
    browser = locked.browser()
    visit = browser.open("/console/sign-in").headers["set-cookie"]

    cookie = cookie_of(browser.sign_in(locked.key.text))

    assert visit.startswith("askonce_visit=")
    assert cookie["name"] == "askonce_session"
    assert (cookie["SameSite"], cookie["Path"], cookie["Max-Age"]) == ("Strict", "/", "43200")
    assert "HttpOnly" in cookie
    assert "Secure" not in cookie
    assert locked.key.text[4:] not in cookie["value"]
    assert locked.rows() == [(digest_of(cookie["value"].encode()), "ann")]
    assert cookie["value"] not in visit


def test_elsewhere_browsers_keep_the_cookie_over_https_alone(locked: Locked) -> None:
    browser = locked.browser(origin="https://askonce.example")
    visit = browser.open("/console/sign-in").headers["set-cookie"]

    cookie = cookie_of(browser.sign_in(locked.key.text))

    assert visit.startswith("__Host-askonce_visit=")
    assert "Secure" in visit
    assert cookie["name"] == "__Host-askonce_session"
    assert {"Secure", "HttpOnly"} <= set(cookie)
    assert "Domain" not in cookie
    assert browser.open(HISTORY).status_code == 200


def test_no_header_of_a_proxy_makes_the_cookie_a_plain_one(locked: Locked) -> None:
    browser = locked.browser(origin="https://askonce.example")
    fields = {"csrf": browser.token("/console/sign-in"), "key": locked.key.text}

    signed = browser.send(
        "/console/sign-in", fields, x_forwarded_proto="http", x_forwarded_host="localhost"
    )

    assert cookie_of(signed)["name"] == "__Host-askonce_session"


def test_the_cookie_opens_no_door_of_the_api(locked: Locked) -> None:
    browser = locked.signed_in()

    assert browser.open("/history/ann").status_code == 401
    assert browser.client.post("/analyze/ann", json={"text": "hello"}).status_code == 401
    assert browser.client.delete("/users/ann").status_code == 401


WRONG = ["", "ask_", "ask_" + "A" * 43, "Bearer x", "\x00", "é" * 50, "x" * 100_000, "' OR 1=1 --"]


def test_all_that_is_no_good_key_reads_the_same_and_does_not_lock_others_out(
    locked: Locked,
) -> None:
    revoked = locked.keys.create("old", tenant="default", role=Role.ADMIN)
    locked.keys.revoke("old", tenant="default")
    until(lambda: not locked.is_good(revoked))
    browser = locked.browser()

    tried = [browser.sign_in(key) for key in [*WRONG, revoked.text]]
    more = [browser.sign_in("ask_" + "B" * 43).status_code for _ in range(30)]

    assert {one.status_code for one in tried} == {401}
    assert len({one.text for one in tried}) == 1
    assert not any("session" in str(one.headers.get_list("set-cookie")) for one in tried)
    assert set(more) == {401, 429}
    assert browser.sign_in(locked.key.text).status_code == 303


def test_a_browser_that_signs_out_is_forgotten_wherever_its_token_went(locked: Locked) -> None:
    browser = locked.signed_in()
    token = browser.client.cookies["askonce_session"]

    out = browser.submit("/console/sign-out")

    assert out.status_code == 303
    assert cookie_of(out)["Max-Age"] == "0"
    assert locked.rows() == []
    thief = locked.browser()
    thief.client.cookies.set("askonce_session", token)
    assert thief.open(HISTORY).status_code == 401


def test_signing_in_gives_a_new_token_whatever_the_browser_held(locked: Locked) -> None:
    browser = locked.browser()
    planted = "A" * 43
    browser.client.cookies.set("askonce_session", planted)

    token = cookie_of(browser.sign_in(locked.key.text))["value"]

    assert token != planted
    assert planted not in str(locked.rows())


def test_who_is_signed_in_with_a_key_goes_with_it(locked: Locked) -> None:
    browser = locked.signed_in()

    locked.keys.revoke("ann", tenant="default")

    until(lambda: browser.open(HISTORY).status_code == 401)


def test_who_is_signed_in_with_a_text_of_a_key_goes_with_that_text(locked: Locked) -> None:
    browser = locked.signed_in()

    rotated = locked.keys.rotate("ann", tenant="default", grace=timedelta(0))

    until(lambda: browser.open(HISTORY).status_code == 401)
    assert browser.sign_in(rotated.text).status_code == 303


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_browser_is_signed_in_while_it_is_used_and_for_half_a_day_at_most(
    locked: Locked,
) -> None:
    with freeze_time(SystemClock().now(), tick=True) as clock:
        browser, idle = locked.signed_in(), locked.signed_in()

        unused = []
        for _ in range(14):
            clock.tick(timedelta(minutes=50))
            assert browser.open(HISTORY).status_code == 200
            # What comes anew by itself is no use.
            unused.append(idle.open("/console/live/levels").status_code)
            # Use is noted by the ledger, which nobody waits for.
            locked.service.process.ledger.write(lambda _tx: None).result()
        clock.tick(timedelta(minutes=30))
        after_half_a_day = browser.open(HISTORY).status_code

    assert unused == [200] + [401] * 13
    assert after_half_a_day == 401


def test_browsers_that_are_signed_in_no_more_are_swept_away(locked: Locked) -> None:
    locked.signed_in()
    database = locked.service.process.database
    soon, late = (SystemClock().now() + timedelta(minutes=n) for n in (30, 61))

    for before, left in ((soon, 1), (late, 0)):
        with database.transaction() as tx:
            rows = tx.prunable(Kind.SIGN_INS)
            rows.remove([old.key for old in rows.look(None, before=before, limit=9).old],
                        before=before)  # fmt: skip
        assert len(locked.rows()) == left


def test_a_key_has_so_many_browsers_and_no_more(locked: Locked) -> None:
    first = locked.signed_in()

    for _ in range(20):
        locked.browser().sign_in(locked.key.text)

    assert len(locked.rows()) == 20
    assert first.open(HISTORY).status_code == 401


def test_an_erased_user_is_signed_in_no_more(locked: Locked) -> None:
    browser = locked.signed_in()
    headers = {"authorization": f"Bearer {locked.key.text}"}

    receipt = locked.service.client.delete("/users/ann", headers=headers).json()

    assert receipt["deleted"]["sign_ins"] == 1
    assert browser.open(HISTORY).status_code == 401


def test_signing_in_and_out_stands_in_the_trail(locked: Locked) -> None:
    before = len(trail(locked.service))
    browser = locked.browser()

    browser.sign_in(locked.key.text)
    browser.submit("/console/sign-out")

    told = [one.event for one in trail(locked.service)[before:]]
    assert [(event.action.value, event.key_id, event.user_id) for event in told] == [
        ("console.sign_in", locked.key.key.id, "ann"),
        ("console.sign_out", locked.key.key.id, "ann"),
    ]


FOREIGN: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://localhost:81"},
    {"origin": "null"},
    {"origin": ""},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "none"},
]


@pytest.mark.parametrize("path", ["/console/sign-in", "/console/sign-out", "/console/ask"])
def test_a_form_of_somebody_else_does_nothing(locked: Locked, path: str) -> None:
    browser = locked.browser() if path.endswith("sign-in") else locked.signed_in()
    other = locked.browser()
    own = browser.token("/console/sign-in" if path.endswith("sign-in") else "/")
    fields = {"csrf": own, "key": locked.key.text, "text": "hello", "user": "ann"}
    stolen = {**fields, "csrf": other.token("/console/sign-in")}
    before = len(locked.rows())

    refused = [browser.send(path, fields, **headers) for headers in FOREIGN]
    refused += [browser.send(path, wrong) for wrong in (stolen, {**fields, "csrf": ""})]
    refused += [browser.send(path, {**fields, "csrf": "é"})]

    assert [one.status_code for one in refused] == [403] * len(refused)
    assert len(locked.rows()) == before
    assert browser.client.get("/health").is_success
    assert browser.send(path, fields).status_code in (200, 303)


def test_without_any_key_a_form_of_somebody_else_does_nothing_either(service: Service) -> None:
    browser = Browser(service.app)
    fields = {"csrf": browser.token("/"), "text": "hello", "user": "ann"}

    refused = [browser.send("/console/ask", fields, **headers) for headers in FOREIGN]
    stranger = Browser(service.app).send("/console/ask", fields)

    assert [one.status_code for one in [*refused, stranger]] == [403] * (len(FOREIGN) + 1)
    assert service.client.get("/history/ann").json()["items"] == []
    assert browser.send("/console/ask", fields).status_code == 200


def test_a_link_from_elsewhere_leads_to_the_page_that_it_names(locked: Locked) -> None:
    browser = locked.signed_in()
    token = browser.client.cookies["askonce_session"]
    browser.client.cookies.delete("askonce_session")

    without = browser.open(HISTORY, sec_fetch_site="cross-site")
    browser.client.cookies.set("askonce_session", token)

    assert 'http-equiv="refresh"' in without.text
    assert "set-cookie" not in without.headers
    assert browser.open(HISTORY, sec_fetch_site="same-origin").status_code == 200
