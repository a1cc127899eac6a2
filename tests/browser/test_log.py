"""The Log page looks further back: what did not come is said, and nothing comes twice or is passed over."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, Route, expect

from .conftest import Visit, visiting
from .sites import Site

AWAY = {"error": "the database is away", "code": "database_unavailable", "detail": {}}
FIRST = 300  # events that the page reads at first
PAGE = 500  # and when one looks further back


def head(site: Site, jobs: int) -> int:
    """The log's end after as many more jobs, at once. Looked at there, the page stands still."""
    made = [{"queue": "default", "type": "shred", "payload": {}} for _ in range(jobs)]
    return int(site.ask("POST", "/jobs", made)["position"])


def footer(page: Page):  # type: ignore[no-untyped-def]
    return page.locator(".log-end")


def test_what_did_not_come_is_said_and_asked_for_again(visit: Visit, site: Site) -> None:
    at = head(site, 400)
    page = visit.open(f"/#/log?at={at}")
    expect(footer(page)).to_contain_text(f"{FIRST} events, back to position {at - FIRST + 1:,}")
    for refuse, said in ((away, "The database is away"), (lost, "The server does not answer")):
        page.route("**/events?*", refuse, times=1)
        page.locator(".log-end, .log .error-box").get_by_role("button").click()
        expect(page.locator(".log .error-box")).to_contain_text(said)
    page.get_by_role("button", name="Try again").click()
    expect(footer(page)).to_contain_text(f"{min(at, FIRST + PAGE)} events")


def away(route: Route) -> None:
    route.fulfill(status=503, json=AWAY)


def lost(route: Route) -> None:
    route.abort()


def test_two_quick_clicks_look_back_once(visit: Visit, site: Site) -> None:
    at = head(site, 1000)
    page = visit.open(f"/#/log?at={at}")
    further = page.get_by_role("button", name="Look further back")
    expect(further).to_be_visible()
    further.evaluate("button => { button.click(); button.click(); }")
    expect(footer(page)).to_contain_text(f"{FIRST + PAGE} events, back to position {at - FIRST - PAGE + 1:,}")


def test_looking_back_passes_nothing_over(browser: Browser, own_site: Site) -> None:
    """Also where more fits than one answer holds, and to a job from long before."""
    first = own_site.enqueue("default", "shred", {})
    at = [head(own_site, 7000) for _ in range(3)][-1]
    with visiting(browser, own_site) as visit:
        page = visit.open(f"/#/log?at={at}&type=enqueued")
        expect(footer(page)).to_contain_text("events, back to position")
        count, oldest = seen(page)
        assert count == at - oldest + 1
        page.get_by_role("button", name="Look further back").click()
        expect(footer(page)).not_to_contain_text(f"{oldest:,}")
        more, further = seen(page)
        assert more == at - further + 1 > count
        page.goto(f"/#/log?at={at}&job={first}")
        expect(page.locator(".log .event")).to_have_count(1)


def test_a_beginning_that_did_not_come_is_asked_for_again(visit: Visit, site: Site) -> None:
    at = head(site, 1)
    page = visit.open("/#/jobs")
    page.route("**/events?*", lost)
    page.goto(f"/#/log?at={at}")
    expect(page.locator(".log .error-box")).to_contain_text("The server does not answer")
    page.unroute("**/events?*")
    expect(page.locator(".log .event").first).to_be_visible()  # by itself
    expect(page.locator(".log .error-box")).to_have_count(0)


def seen(page: Page) -> tuple[int, int]:
    """How many events, back to which position."""
    said = footer(page).inner_text().replace(",", "")
    found = re.search(r"(\d+) events back to position (\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def test_a_deleted_queue_is_found_in_the_log(visit: Visit, site: Site) -> None:
    site.ask("PUT", "/queue/letters", {})
    site.ask("DELETE", "/queue/letters")
    page = visit.open("/#/queue/letters")
    expect(page.locator(".empty")).to_contain_text("its name is another. See all queues, its jobs, or what the log has of it.")
    page.get_by_role("link", name="what the log has of it").click()
    expect(page.get_by_label("Queue", exact=True)).to_have_value("letters")
    expect(page.locator(".log .event")).to_have_count(2)
