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


def test_a_page_that_did_not_come_makes_nothing_twice(browser: Browser, own_site: Site) -> None:
    """Of several that are read in one go, the first ones were shown already."""
    head(own_site, 1)
    with visiting(browser, own_site) as visit:
        page = visit.open("/#/log?type=enqueued")
        expect(footer(page)).to_contain_text("1 event")
        asked = 0

        def second_is_lost(route: Route) -> None:
            nonlocal asked
            asked += 1
            route.abort() if asked == 2 else route.continue_()

        page.route("**/events?*", second_is_lost)
        head(own_site, 2500)
        expect(page.locator(".log .error-box")).to_be_visible()
        expect(page.locator(".log .error-box")).to_have_count(0)  # asked again by itself
        expect(footer(page)).to_contain_text("2,501 events")


def test_a_list_that_is_cut_while_one_looks_back_has_no_hole(browser: Browser, own_site: Site) -> None:
    head(own_site, 1500)
    held: list[Route] = []
    with visiting(browser, own_site) as visit:
        page = visit.open("/#/log")
        expect(footer(page)).to_contain_text(f"{FIRST} events")
        page.route("**/events?*", lambda route: held.append(route), times=1)
        page.get_by_role("button", name="Look further back").click()
        for _ in range(4):
            last = head(own_site, 900)
            expect(page.locator(".log .event").first).to_have_attribute("data-position", str(last))
        held[0].continue_()
        expect(page.get_by_role("button", name="Look further back")).to_be_enabled()
        count, oldest = seen(page)
        assert count == last - oldest + 1


def test_more_than_one_answer_of_what_people_did_has_no_hole(browser: Browser, own_site: Site) -> None:
    head(own_site, 1200)
    with visiting(browser, own_site) as visit:
        page = visit.open("/#/log?operator=1")
        expect(footer(page)).to_contain_text("This is the beginning")
        cancel = {"action": "cancel", "filter": {"type": "shred"}, "reason": "too many"}
        own_site.ask("POST", "/jobs/actions", cancel)
        expect(footer(page)).to_contain_text("1,000 events, back to position")
        page.get_by_role("button", name="Look further back").click()
        expect(footer(page)).to_contain_text("This is the beginning")
        done = own_site.get("/events", kind="operator", limit=1000)
        rest = own_site.get("/events", kind="operator", limit=1000, before=done["next"])
        expect(footer(page)).to_contain_text(f"{len(done['events'] + rest['events']):,} events")


def test_a_span_is_always_all_that_there_was(visit: Visit) -> None:
    """Parts of a log in any order, twice, overlapping, with gaps, while newer events cut the list."""
    page = visit.open("/#/log")
    expect(footer(page)).to_be_visible()
    assert page.evaluate(SPANS) == {"wrong": [], "cut": True, "begun": True}


# Each position is an event or none. Whatever became of a span: it has exactly the events within its bounds.
SPANS = """async () => {
  const app = document.querySelector("script[type=module]").src;
  const { above, below, partOf } = await import(app.replace("app.js", "pages/log/span.js"));
  let seed = 7;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const within = (from, upto) => Array.from({ length: upto - from }, (_, n) => ({ position: upto - n })).filter(({ position }) => position % 3);
  const same = (had, wanted) => had.length === wanted.length && had.every(({ position }, n) => position === wanted[n].position);
  const said = { wrong: [], cut: false, begun: false };
  for (let run = 0; run < 40; run++) {
    let [span, held] = [null, null];
    for (let turn = 0; turn < 60; turn++) {
      const edge = span ? (random(2) ? span.newest : span.oldest) : 50_000;
      const from = Math.max(0, edge + random(1500) - 1200), upto = from + random(1500);
      const part = { events: within(from, upto), from, upto };
      const before = span;
      span = !span || random(3) ? above(span, part) : below(span, part);
      said.cut ||= before && span.oldest > before.oldest && span.newest >= before.newest && span.events.length === span.most;
      said.begun ||= before && span.oldest > before.newest;
      if (!held || !random(9)) held = span;
      held = below(below(held, part), partOf(span));
      for (const { events, oldest, newest } of [span, held]) if (!same(events, within(oldest, newest))) said.wrong.push([run, turn]);
    }
  }
  return said;
}"""


def seen(page: Page) -> tuple[int, int]:
    """How many events, back to which position."""
    said = footer(page).inner_text().replace(",", "")
    found = re.search(r"(\d+) events back to position (\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2])


def test_a_deleted_queue_is_found_in_the_log(visit: Visit, site: Site) -> None:
    site.ask("PUT", "/queue/letters", {})
    site.ask("POST", "/queue/letters/pause", {"reason": "no ink"})
    site.ask("DELETE", "/queue/letters")
    page = visit.open("/#/queue/letters")
    expect(page.get_by_role("heading", level=1, name="letters")).to_be_visible()
    expect(page.locator(".empty")).to_contain_text("its name is another. See all queues, its jobs, or what the log has of it.")
    page.get_by_role("link", name="what the log has of it").click()
    expect(page.get_by_label("Queue", exact=True)).to_have_value("letters")
    said = page.locator(".log .event .event-about")
    expect(said).to_have_count(3)
    expect(said.nth(0)).to_contain_text("deleted, ")
    expect(said.nth(1)).to_have_text("with a reason")
    expect(said.nth(2)).to_contain_text("scaling max 5 min 1 threshold 20")
