"""The live stream: one a browser, none of it lost, and its state is always shown."""

from __future__ import annotations

import httpx
from playwright.sync_api import Browser, Page, Route, expect

from .conftest import Visit, visiting
from .sites import Site, until


def state(page: Page):  # type: ignore[no-untyped-def]
    return page.locator("[data-connection]")


def workers(browser: Browser, site: Site) -> int:
    """Shared workers of the site: each holds one stream."""
    found = browser.new_browser_cdp_session().send("Target.getTargets")["targetInfos"]
    return sum(one["type"] == "shared_worker" and one["url"].startswith(site.base) for one in found)


def test_two_tabs_share_one_stream(browser: Browser, own_site: Site) -> None:
    with visiting(browser, own_site) as visit:
        own: list[str] = []  # streams that a tab opened by itself
        visit.context.on("request", lambda request: request.resource_type == "eventsource" and own.append(request.url))
        pages = [visit.open("/#/jobs"), visit.open("/#/jobs")]
        for page in pages:
            expect(state(page)).to_have_attribute("data-connection", "live")
            expect(page.get_by_text("There are no jobs yet")).to_be_visible()  # what is read later is not news
        assert (workers(browser, own_site), own) == (1, [])
        own_site.enqueue("default", "noop", {})
        for page in pages:
            expect(page.get_by_role("button", name="1 new")).to_be_visible()
        pages[0].close()
        own_site.enqueue("default", "noop", {})
        expect(pages[1].get_by_role("button", name="2 new")).to_be_visible()


def test_a_killed_server_comes_back_without_a_gap(browser: Browser, own_site: Site) -> None:
    with visiting(browser, own_site) as visit:
        page = visit.open("/#/jobs?type=noop")
        expect(state(page)).to_have_attribute("data-connection", "live")
        expect(page.get_by_text("No job matches")).to_be_visible()
        own_site.enqueue("default", "noop", {})
        expect(page.get_by_role("button", name="1 new")).to_be_visible()
        own_site.kill_server()
        expect(state(page)).to_have_attribute("data-connection", "lost")
        own_site.serve()
        for _ in range(5):
            own_site.enqueue("default", "noop", {})
        expect(state(page)).to_have_attribute("data-connection", "live")
        # Six in all: by the stream that went on where it was, or read anew.
        until(lambda: _known(page) == 6, 30)


def _known(page: Page) -> int:
    pill = page.locator(".new-pill")
    waiting = int(pill.inner_text().split()[0]) if pill.count() else 0
    return page.locator(".jobs-body [role=row]").count() + waiting


def test_an_expired_session_asks_for_a_login(browser: Browser, own_site: Site) -> None:
    visit = Visit(browser, own_site)
    visit.log_in()
    page = visit.open("/#/jobs")
    expect(state(page)).to_have_attribute("data-connection", "live")
    other = httpx.Client(base_url=own_site.base)
    cookie = next(one for one in visit.context.cookies() if one["name"] == "hivelog_session")
    answer = other.post("/logout", headers={"cookie": f"hivelog_session={cookie['value']}", "origin": own_site.base})
    assert answer.status_code == 200
    # What another process closed may work for two seconds more.
    until(lambda: other.get("/jobs", headers={"cookie": f"hivelog_session={cookie['value']}"}).status_code == 401)
    page.get_by_role("link", name="Failures").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    visit.context.close()
    own_site.cookies = None


def test_sums_have_the_minute_that_is_not_over(visit: Visit) -> None:
    """It is not drawn, where it would look like a collapse; but who failed in it has failed."""

    def told(route: Route) -> None:
        answer = route.fetch()
        data = answer.json()
        of = data["series"][0]
        zero = [0] * len(data["times"])
        of |= {"expired": zero, "completed": [*zero[:-2], 6, 0], "enqueued": [*zero[:-2], 8, 0], "failed": [*zero[:-1], 2]}
        route.fulfill(response=answer, json=data)

    page = visit.context.new_page()
    page.route("**/stats/series*", told)
    page.goto("/")
    expect(page.get_by_text("2 failed, 25.0%")).to_be_visible()
    expect(page.get_by_label("In the last 1 h: completed 6, enqueued 8, failed 2.")).to_be_visible()
