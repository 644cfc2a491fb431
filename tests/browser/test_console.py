"""The console in a real Chromium: for keyboards, small screens, readers, hostile words."""

from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Console
from tests.serving import until
from tests.stub.client import StubProvider

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
# Each impact that axe-core knows but "minor" and "moderate".
SERIOUS = ("serious", "critical")
PAGES = {
    "ask": "/?user=alice",
    "conversations": "/console/conversations?user=alice",
    "conversation": "/console/conversations/1",
    "history": "/console/history?user=alice",
    "usage": "/console/usage?user=alice",
    "live": "/console/live",
    "audit": "/console/audit",
    "problem": "/console/history?since=x",
}
# A little more than the page waits.
_ROUND = 3_100
HOSTILE = (
    "<img src=x onerror=window.hit=1> </div></script><script>window.hit=2</script>"
    " [x](javascript:window.hit=3) <a href=javascript:window.hit=4>y</a> \u202egnp.exe"
)


def barriers(page: Page) -> list[str]:
    """Return what axe-core finds that keeps people out of a page."""
    found: dict[str, Any] = page.evaluate(
        f"async () => {{ {AXE}; return await axe.run({{resultTypes: ['violations']}}); }}"
    )
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]


def is_too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@pytest.mark.parametrize("name", PAGES)
def test_nobody_is_kept_out_in_light_or_dark_or_on_a_small_screen(
    console: Console, name: str, pictures: Path | None
) -> None:
    page = console.open(PAGES[name])
    if name == "problem":
        # That the answer is a 422 is told as an error, too.
        console.complaints.clear()
    if name == "history":
        page.locator("#list summary").first.click()

    in_light = barriers(page)
    if pictures and name != "problem":
        page.screenshot(path=pictures / f"{name}.png")
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    if pictures and name == "usage":
        page.screenshot(path=pictures / f"{name}-dark.png")
    page.set_viewport_size({"width": 360, "height": 740})
    in_dark_and_small = barriers(page)

    assert in_light == []
    assert in_dark_and_small == []
    assert not is_too_wide(page)


def test_what_keeps_people_out_would_be_found(console: Console) -> None:
    page = console.open("/console/live")
    page.evaluate("document.querySelector('main').append(document.createElement('select'))")

    assert any("select-name" in one for one in barriers(page))


def test_the_keyboard_alone_is_enough_to_ask(console: Console, stub: StubProvider) -> None:
    stub.will("ok text=First.", "ok text=Second.")
    page = console.open("/console/live")
    keys = page.keyboard

    keys.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the content")
    for name in ("askonce", "Ask"):
        keys.press("Tab")
        expect(page.locator(":focus")).to_have_text(name)
    keys.press("Enter")
    expect(page.get_by_label("Text")).to_be_focused()
    keys.type("Asked with the keyboard alone?")
    for _ in range(30):
        keys.press("Tab")
        if page.locator(":focus").inner_text() == "Ask":
            break
    keys.press("Enter")

    expect(page.locator("#answer .said")).to_have_text("First.")
    expect(page.locator("#status")).to_have_text("Answered: asked the model.")
    for _ in range(30):
        keys.press("Tab")
        if page.locator(":focus").inner_text() == "Ask anew":
            break
    keys.press("Enter")
    expect(page.locator("#answer .said")).to_have_text("Second.")
    expect(page.locator("#status")).to_have_text("Answered: asked the model anew.")


def test_an_answer_grows_while_it_is_made_and_the_next_is_a_hit(
    console: Console, stub: StubProvider, pictures: Path | None
) -> None:
    stub.will("ok held=middle text=It is angry: it came late, and wrong.")
    page = console.open("/?user=alice")
    page.get_by_label("Text").fill("Is this review happy or angry? 'Two weeks late.'")

    page.get_by_role("button", name="Ask", exact=True).click()

    expect(page.locator("#answer .said")).to_have_text("It is angry: it came")
    expect(page.locator("#answer .facts")).to_have_count(0)
    stub.let_go()
    expect(page.locator("#answer .facts")).to_be_visible()
    expect(page.locator("#answer .said")).to_have_text("It is angry: it came late, and wrong.")
    expect(page.locator("#answer .badge")).to_have_text("miss")
    page.get_by_label("Text").press("Control+Enter")
    expect(page.locator("#answer .badge")).to_have_text("hit")
    if pictures:
        page.screenshot(path=pictures / "answer.png")
        page.set_viewport_size({"width": 360, "height": 740})
        page.screenshot(path=pictures / "phone.png")


def test_what_a_model_says_runs_nothing(console: Console, stub: StubProvider) -> None:
    stub.will(f"ok held=middle text={HOSTILE}", f"ok say={HOSTILE}")
    page = console.open("/?user=alice")
    page.get_by_label("Text").fill(HOSTILE)

    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#answer .said")).to_be_visible()
    stub.let_go()
    expect(page.locator("#answer .facts")).to_be_visible()
    expect(page.locator("#answer .said")).to_have_text(HOSTILE)
    seen = [page.evaluate("[window.hit, document.images.length]")]
    console.open("/console/conversations/1")
    page.get_by_label("Your message").fill(HOSTILE)
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".message.assistant .said").last).to_have_text(HOSTILE)
    expect(page.locator(".confidence").last).to_be_visible()
    seen.append(page.evaluate("[window.hit, document.images.length]"))

    assert seen == [[None, 0], [None, 0]]
    assert page.locator("a[href^='javascript']").count() == 0


def test_a_broken_call_is_told_and_the_page_goes_on(console: Console, stub: StubProvider) -> None:
    stub.will("401")
    page = console.open("/?user=alice")
    page.get_by_label("Text").fill("Does it fail?")

    page.get_by_role("button", name="Ask", exact=True).click()

    expect(page.locator("#answer .problem")).to_contain_text("The provider refuses the request")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#answer .badge")).to_have_text("miss")
    console.complaints.clear()


def test_the_history_is_searched_while_one_types_and_items_are_deleted(console: Console) -> None:
    console.page.on("dialog", lambda dialog: dialog.accept())
    page = console.open("/console/history?user=alice")
    page.get_by_label("Search").press_sequentially("kettle")
    expect(page.locator("#list li")).to_have_count(1)

    page.locator("#list summary").click()
    page.get_by_role("button", name="Delete").click()

    expect(page.locator("#list li")).to_have_count(0)
    page.reload()
    expect(page.locator("#list")).to_have_text("Nothing found.")
    assert "q=kettle" in page.url


def test_live_shows_what_happens_without_being_asked(console: Console, stub: StubProvider) -> None:
    stub.will("ok held=start text=Late.")
    console.page.clock.install()
    watching = console.open("/console/live")
    asking = watching.context.new_page()
    asking.goto(f"{console.address}/?user=alice")
    asking.get_by_label("Text").fill("Is it live?")

    asking.get_by_role("button", name="Ask", exact=True).click()

    in_the_air = watching.locator("#levels dd").first
    until(lambda: stub.state()["running"] == 1)
    watching.clock.run_for(_ROUND)
    expect(in_the_air).to_have_text("1")
    stub.let_go()
    expect(asking.locator("#answer .facts")).to_be_visible()
    watching.clock.run_for(_ROUND)
    expect(in_the_air).to_have_text("0")
    asking.close()


def test_who_follows_a_link_from_elsewhere_is_still_signed_in(console: Console) -> None:
    page = console.page
    page.set_content(f'<a href="{console.address}/console/usage">a link in a mail</a>')

    page.get_by_role("link").click()

    expect(page.get_by_role("heading", name="Usage")).to_be_visible()
    # The page that the strict cookie did not come to was a 401.
    console.complaints.clear()


def test_the_colours_that_were_chosen_stay(console: Console) -> None:
    page = console.open("/console/live")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")

    page.get_by_role("button", name="Theme: system").click()
    page.get_by_role("button", name="Theme: light").click()
    page.reload()
    chosen = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Theme: dark").click()

    assert chosen != before
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == before


def test_every_picture_of_the_guide_is_one_that_is_taken_here(pictures: Path | None) -> None:
    del pictures
    docs = Path(__file__).parents[2] / "docs"
    taken = {f"{name}.png" for name in (*PAGES, "answer", "phone", "usage-dark")} - {"problem.png"}

    assert {one.name for one in (docs / "images").iterdir()} == taken
