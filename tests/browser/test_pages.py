"""Every page: no barrier that axe calls serious, nothing wider than a phone, and all of it by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from . import axe
from .conftest import Visit, visiting
from .sites import Site, until
from .story import FAILED

PAGES = {
    "overview": "#/", "queue": "#/queue/reports", "jobs": "#/jobs", "failures": "#/failures", "workers": "#/workers",
    "log": "#/log", "settings": "#/settings", "time bar": "#/failures?bar=1h", "no queue": "#/queue/none", "no job": "#/jobs?tag=none",
}  # fmt: skip


# The page's module is there, nothing is read, and nothing waits to be: for some frames, as effects come a frame later.
_SETTLED = """async () => {
  const app = document.querySelector("script[type=module]").src;
  const { idle } = await import(app.replace("app.js", "data/api.js"));
  const quiet = () => idle() && document.querySelector("main h1") && !document.querySelector("main > h1.sr:only-child, [aria-busy=true]");
  const end = performance.now() + 30_000;
  for (let frames = 0; frames < 5; frames = quiet() ? frames + 1 : 0) {
    if (performance.now() > end) return document.querySelector("main")?.innerText ?? "no page";
    await new Promise(requestAnimationFrame);
  }
  return null;
}"""


def settled(page: Page) -> None:
    """All that the page shows is there."""
    missing = page.evaluate(_SETTLED)
    assert missing is None, missing


def addresses(site: Site) -> list[str]:
    job = site.get("/jobs", status="failed", limit=1)["jobs"][0]["id"]
    return [*PAGES.values(), f"#/job/{job}"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(browser: Browser, site: Site, scheme: str) -> None:
    with visiting(browser, site, color_scheme=scheme) as visit:
        found: dict[str, list[str]] = {}
        page = visit.open("/")
        for address in addresses(site):
            page.goto(f"/{address}")
            settled(page)
            if said := axe.anything(page):
                found[address.split("/job/")[0]] = said
        assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_the_api_has_no_barriers(browser: Browser, site: Site, scheme: str) -> None:
    """All of it, as it is opened and with an operation that one tries out: no rule is left out."""
    with visiting(browser, site, color_scheme=scheme) as visit:
        page = visit.open("/docs")
        expect(page.get_by_role("heading", name="Hivelog")).to_be_visible()
        expect(page.get_by_role("combobox", name="Server")).to_be_visible()
        assert axe.anything(page) == []
        page.locator("#operations-jobs-get_jobs .opblock-summary-control").click()
        page.locator("#operations-jobs-post_queue_queue_jobs .opblock-summary-control").click()
        expect(page).to_have_url(re.compile("#/jobs/post_queue_queue_jobs$"))
        page.get_by_role("button", name="Try it out").last.click()
        page.get_by_role("button", name="Try it out").click()
        expect(page.get_by_role("textbox", name="Request body")).to_be_visible()
        expect(page.get_by_role("table").filter(has_text="Code")).to_have_count(2)  # of responses
        assert axe.anything(page) == []


def test_the_page_of_the_api_by_keyboard_alone(visit: Visit) -> None:
    """Its paths are no links of their own: each operation's button opens it, and leaves the address that leads to it."""
    page = visit.open("/docs")
    operation = page.locator("#operations-jobs-post_queue_queue_jobs")
    button = operation.locator(".opblock-summary-control")
    expect(button).to_be_visible()
    while not button.evaluate("button => button === document.activeElement"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/jobs/post_queue_queue_jobs$"))
    expect(button).to_be_focused()
    expect(visit.open(page.url).locator("#operations-jobs-post_queue_queue_jobs.is-open")).to_be_visible()
    page.keyboard.press("Enter")
    expect(operation).not_to_have_class(re.compile("is-open"))
    # Swagger UI warns itself, of the `_` in any address that it is opened at.
    assert all(said.startswith("Deprecated: escaping deep link") for said in visit.wrong)
    visit.wrong.clear()


def test_the_login_page_has_no_barriers(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site)
    assert axe.anything(visit.open("/")) == []
    visit.context.close()


def test_no_page_is_wider_than_a_phone(phone: Visit, site: Site) -> None:
    page = phone.open("/")
    name = "a_name_that_is_longer_than_a_phone_is_wide_and_has_no_blank"
    job = site.enqueue("default", name, {})
    past = site.ask("PUT", f"/queue/{name.replace('_', '-')}", {})["position"]
    for address in (*addresses(site), f"#/job/{job}", f"#/?bar=1h&at={past}", f"#/queue/{name.replace('_', '-')}"):
        page.goto(f"/{address}")
        settled(page)
        for menu in page.locator("details.menu summary").all():
            menu.click()
            box = page.locator("details.menu[open] > :not(summary)").bounding_box()
            assert box is not None
            assert 0 <= box["x"] <= 390 - box["width"], address
            menu.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address


def test_the_keyboard_alone_reaches_everything(visit: Visit) -> None:
    page = visit.open("/")
    settled(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
    for key, name in (("j", "Jobs"), ("f", "Failures"), ("w", "Workers"), ("l", "Log"), ("s", "Settings")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Control+k")
    expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()
    page.keyboard.type("queue reports")
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{visit.site.base}/#/queue/reports")
    page.keyboard.press("/")
    expect(page.get_by_label("Search jobs")).to_be_focused()
    page.keyboard.type("state:failed type:charge_card")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(".jobs-body [role=row]")).to_have_count(FAILED)
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", level=1, name="charge_card")).to_be_visible()


def test_the_theme_is_the_systems_or_ones_own(browser: Browser, site: Site) -> None:
    with visiting(browser, site, color_scheme="dark") as visit:
        page = visit.open("/")
        settled(page)
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.get_by_role("button", name="Theme").click()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_the_page_of_the_api_has_the_same_theme(browser: Browser, site: Site) -> None:
    with visiting(browser, site, color_scheme="dark") as visit:
        page = visit.open("/docs")
        expect(page.get_by_role("heading", name="Hivelog")).to_be_visible()
        assert luminance(page) < 0.2
        other = visit.open("/")
        other.get_by_role("button", name="Theme").click()  # from the system's to light
        until(lambda: luminance(page) > 0.8)
        page.reload()
        assert luminance(page) > 0.8


def luminance(page: Page) -> float:
    """Of the page's ground, from 0 to 1."""
    colour = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    red, green, blue, *opacity = map(float, re.findall(r"[\d.]+", colour))
    return 1.0 if opacity == [0] else (red + green + blue) / 765
