"""The time bar: every page shows the moment that the address names, and what it shows is what the API answers of it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs

from playwright.sync_api import Page, expect

from .conftest import Visit
from .sites import Site, until


def query(page: Page) -> dict[str, str]:
    """What stands after `?` in the route."""
    found = parse_qs(str(page.evaluate("location.hash")).partition("?")[2])
    return {name: values[0] for name, values in found.items()}


def refusals(page: Page) -> list[str]:
    """Calls of the page that the server refuses, from now on."""
    found: list[str] = []
    page.on("response", lambda answer: answer.status >= 400 and found.append(f"{answer.status} {answer.url}"))
    return found


def moment(page: Page) -> str:
    """`at` of the address, when it has become one."""
    until(lambda: "at" in query(page))
    return query(page)["at"]


def strip(page: Page) -> Any:
    return page.get_by_role("region", name="Time bar")


def connection(page: Page, state: str) -> None:
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", state)


def cards_are_of(page: Page, site: Site, at: str) -> None:
    """Each queue's card has the figures of `GET /queue/{queue}/stats?at=`."""
    for queue in ("default", "reports", "notifications", "background"):
        stats = site.get(f"/queue/{queue}/stats", at=at)["stats"]
        shown = page.locator(f"[data-queue={queue}] dd")
        for number, name in enumerate(("depth", "processing", "completed_today")):
            expect(shown.nth(number)).to_have_text(f"{stats[name]:,}")


def history(site: Site, kind: str) -> list[dict[str, Any]]:
    return list(site.get("/events", type=kind, limit=1000)["events"])


def test_marks_steps_and_the_way_back(visit: Visit, site: Site) -> None:
    page = visit.open("/#/")
    connection(page, "live")
    page.keyboard.press("t")
    expect(strip(page)).to_be_visible()
    [paused, *_] = history(site, "paused")
    # Marks that are near each other are one, which goes to each in turn.
    mark = strip(page).locator("[data-mark~=paused]").first
    until(lambda: (mark.click(), query(page).get("at") == str(paused["position"]))[1])
    connection(page, "past")
    expect(strip(page).locator("output")).to_contain_text("paused in background")
    cards_are_of(page, site, moment(page))
    for _ in range(3):
        before = int(moment(page))
        page.get_by_role("button", name="Event after").click()
        until(lambda wanted=str(before + 1): moment(page) == wanted)  # type: ignore[misc]
        expect(strip(page).locator("output")).to_contain_text(f"position {before + 1}")
    cards_are_of(page, site, moment(page))
    page.keyboard.press(",")
    until(lambda: int(moment(page)) == paused["position"] + 2)
    # No page acts on the present while one looks at the past.
    expect(page.get_by_role("button", name="Enqueue")).to_have_count(0)
    strip(page).get_by_role("button", name="Live").click()
    connection(page, "live")
    assert "at" not in query(page)
    page.keyboard.press("t")
    expect(strip(page)).to_have_count(0)
    assert query(page) == {}


def test_steps_keep_to_what_the_page_is_about(visit: Visit, site: Site) -> None:
    # One that failed once: other tests retry theirs.
    job = site.get("/jobs", status="failed", type="charge_card", limit=1)["jobs"][0]["id"]
    positions = [event["position"] for event in site.get("/events", job=job)["events"]]
    page = visit.open(f"/#/job/{job}?at={positions[0]}")
    expect(page.locator("main .status").first).to_have_text("queued")
    for position, status in ((positions[1], "processing"), (positions[-1], "failed")):
        strip(page).get_by_role("button", name="Event after").click()
        until(lambda wanted=position: moment(page) == str(wanted))
        expect(page.locator("main .status").first).to_have_text(status)
    strip(page).get_by_role("button", name="Event after").click()
    connection(page, "live")
    reports = [event["position"] for event in site.get("/events", queue="reports", limit=1000)["events"]]
    page.goto(f"/#/queue/reports?at={reports[9]}")
    connection(page, "past")
    expect(strip(page).locator("output")).to_contain_text("in reports")
    strip(page).get_by_role("button", name="Event before").click()
    until(lambda: moment(page) == str(reports[8]))


def test_dragging_goes_to_a_time_that_a_link_keeps(visit: Visit, site: Site) -> None:
    page = visit.open("/#/?bar=15m")
    connection(page, "live")
    done = history(site, "completed")
    middle = done[len(done) // 2]
    _drag(page, middle["recorded_at"])
    at = moment(page)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", at)
    connection(page, "past")
    cards_are_of(page, site, at)
    page.reload()
    connection(page, "past")
    cards_are_of(page, site, at)
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("heading", name="Jobs")).to_be_visible()
    assert moment(page) == at
    jobs = site.get("/jobs", at=at, limit=100)["jobs"]
    expect(page.locator(".jobs-body [role=row]").first).to_be_visible()
    shown = page.locator(".jobs-body [role=row]").first.locator(".status")
    expect(shown).to_have_text(jobs[0]["status"])
    _drag(page, None)
    connection(page, "live")


def test_every_page_has_a_past(visit: Visit, site: Site) -> None:
    [first, *_] = history(site, "paused")
    at = first["position"] + 20
    job = site.get("/jobs", at=at, limit=1)["jobs"][0]["id"]
    page = visit.open(f"/#/?at={at}")
    refused = refusals(page)
    for path in ("/", "/queue/reports", "/jobs", "/failures", "/workers", "/settings", f"/job/{job}", "/log"):
        page.goto(f"/#{path}?at={at}")
        expect(page.locator("main h1")).to_be_visible()
        expect(page.locator("[aria-busy=true]")).to_have_count(0)
        expect(page.locator("main .error-box")).to_have_count(0)
    # Lists are counted as they were; the log ends at the moment.
    page.goto(f"/#/jobs?at={at}")
    counts = site.get("/jobs/counts", at=at)["counts"]
    expect(page.locator(".states [data-state=queued] .count")).to_have_text(str(counts["queued"]))
    page.goto(f"/#/log?at={at}")
    expect(page.locator(".event").first).to_have_attribute("data-position", str(at))
    assert refused == []


def _drag(page: Page, time: str | None) -> None:
    """As a hand does: some moments on the way, and the last one; to the end for None."""
    page.get_by_role("slider", name="Moment").evaluate(
        """(slider, time) => {
          const to = time ? Date.parse(time) : Number(slider.max);
          for (const back of [60000, 20000, 0]) {
            slider.value = to - back;
            slider.dispatchEvent(new Event("input", { bubbles: true }));
          }
        }""",
        time,
    )


def test_playing_moves_every_page_and_stops_where_it_is(visit: Visit, site: Site) -> None:
    [first, *_] = history(site, "paused")
    page = visit.open(f"/#/?bar=15m&at={first['position']}")
    connection(page, "past")
    streams: list[str] = []
    page.on("request", lambda request: request.resource_type == "eventsource" and streams.append(request.url))
    strip(page).get_by_label("Speed").select_option("1")
    strip(page).get_by_role("button", name="Play", exact=True).click()
    moments = [_later(page, first["recorded_at"])]
    moments.append(_later(page, moments[0]))
    assert moments == sorted(moments)
    strip(page).get_by_role("button", name="Stop").click()
    until(lambda: "play" not in query(page))
    at = moment(page)
    cards_are_of(page, site, at)
    [stream] = streams
    assert f"from={first['position']}&speed=1" in stream


def _later(page: Page, than: str) -> str:
    return until(lambda: _time(page) > than and _time(page))


def _time(page: Page) -> str:
    at = query(page)["at"]
    return at if "T" in at else ""


def test_playing_to_the_end_is_the_present(visit: Visit, site: Site) -> None:
    [first, *_] = history(site, "paused")
    played: list[str] = []
    visit.context.on("request", lambda request: "speed=1000" in request.url and played.append(request.url))
    page = visit.open(f"/#/jobs?bar=24h&at={first['position']}&play=1000")
    connection(page, "live")
    assert f"from={first['position']}&" in played[0]
    assert not {"at", "play"} & query(page).keys()


def test_a_moment_that_is_not_there_is_said_once(visit: Visit) -> None:
    page = visit.open("/#/?at=999999999")
    expect(page.locator(".toasts li").first).to_be_visible()
    strip(page).get_by_role("button", name="Live").click()
    connection(page, "live")


def test_the_bar_stays_as_high_as_it_is(visit: Visit, site: Site) -> None:
    """Whatever happened there: the page below must not jump while one steps or plays."""
    name = "letters-to-everybody-who-ever-asked-for-one-and-some-who-did-not"
    at = site.ask("PUT", f"/queue/{name}", {})["position"]
    page = visit.open("/#/?bar=1h")
    bar = page.locator(".time-bar")
    expect(bar).to_be_visible()
    now = bar.bounding_box()
    page.goto(f"/#/?bar=1h&at={at}")
    expect(bar).to_contain_text(f"queue configured in {name}")
    assert bar.bounding_box() == now


def test_what_supervisors_kept_is_not_told_of_the_past(visit: Visit, site: Site) -> None:
    page = visit.open("/#/workers")
    expect(page.locator("main")).to_contain_text("No supervisor runs")
    page.goto(f"/#/workers?at={site.get('/queue/status')['position']}")
    expect(page.locator(".time-bar")).to_be_visible()
    expect(page.get_by_role("heading", name="Worker processes by queue")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("No supervisor runs")
    expect(page.locator("main")).not_to_contain_text("MiB")
