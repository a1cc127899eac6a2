"""What operators do, clicked through: queues, worker processes, settings, and jobs by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from .conftest import Visit, visiting
from .sites import Site, until


@pytest.fixture
def queue(site: Site) -> str:
    """A new queue that nobody serves."""
    name = f"q{uuid4().hex[:8]}"
    site.ask("PUT", f"/queue/{name}", {})
    return name


def last(site: Site, queue: str) -> dict[str, object]:
    """The last thing that a person did to the queue."""
    return dict(site.get("/events", kind="operator", queue=queue, limit=1)["events"][0])


def test_a_queue_is_paused_resumed_and_drained(visit: Visit, site: Site, queue: str) -> None:
    for number in range(3):
        site.enqueue(queue, "shred", {"page": number})
    page = visit.open(f"/#/queue/{queue}")
    actions = page.locator(".page-head")
    actions.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("3 waiting jobs will not start")).to_be_visible()
    page.get_by_label("Reason").fill("the disk is full")
    page.get_by_role("button", name="Pause queue").click()
    expect(actions.locator(".badge")).to_have_text("Paused")
    assert last(site, queue)["type"] == "paused"
    actions.get_by_role("button", name="Resume").click()
    expect(actions.locator(".badge")).to_have_text("No workers")
    assert last(site, queue)["type"] == "resumed"
    actions.get_by_role("button", name="Drain queue").click()
    page.get_by_label("Reason").fill("sent twice")
    page.get_by_role("button", name="Cancel 3 jobs").click()
    expect(page.get_by_text(f"3 jobs of {queue} were cancelled.")).to_be_visible()
    until(lambda: site.get(f"/queue/{queue}/stats")["stats"]["depth"] == 0)
    expect(page.locator(".tabs [data-state=cancelled] .count")).to_have_text("3")
    expect(page.locator(".tabs [data-state=queued] .count")).to_have_text("0")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".tabs [data-state=queued] .count")).to_have_text("3")


def test_tabs_count_and_lead_to_what_they_count(visit: Visit, site: Site) -> None:
    page = visit.open("/#/jobs?tag=vip")
    tabs = page.get_by_role("group", name="State")
    for state in ("completed", "failed", "queued"):
        count = site.get("/jobs", tag="vip", status=state, limit=500)["count"]
        expect(tabs.locator(f"[data-state={state}] .count")).to_have_text(str(count))
    tabs.locator("[data-state=completed]").click()
    expect(page.locator(".jobs-body [role=row]")).to_have_count(3)


def test_worker_processes_of_a_queue_are_scaled(visit: Visit, site: Site) -> None:
    def desired() -> int:
        rows = site.get("/workers/status")["scaling"]
        return int(next(row["desired"] for row in rows if row["queue"] == "background"))

    page = visit.open("/#/workers")
    row = page.locator("tr[data-queue=background]")
    before = desired()
    row.get_by_role("button", name="One more for background").click()
    until(lambda: desired() == before + 1)
    expect(row.get_by_text("by hand", exact=True)).to_be_visible()
    expect(row.locator("td b")).to_have_text(str(before + 1))
    row.get_by_role("button", name="One fewer for background").click()
    until(lambda: desired() == before)
    row.get_by_role("button", name="Let it scale").click()
    expect(row.get_by_text("itself", exact=False).first).to_be_visible()


def test_workers_that_do_not_stay_up_say_why(visit: Visit, site: Site, queue: str) -> None:
    site.ask("PUT", f"/queue/{queue}", {"scaling": {"min": 1, "max": 1}})
    crew = site.start("supervise", "--handlers", "tests.bad_handlers_that_are_not_there", "--queue", queue, "--name", "x")
    try:
        page = visit.open("/#/workers")
        crash = page.locator(f".crashes [data-queue={queue}]")
        expect(crash).to_contain_text("in a row")
        expect(crash.locator("pre")).to_contain_text("bad_handlers_that_are_not_there")
        # It wants one, and none runs.
        expect(page.locator("main")).to_contain_text("Where fewer run than are wanted, they are being started")
    finally:
        crew.kill()


def test_settings_of_a_queue_and_of_the_system(visit: Visit, site: Site, queue: str) -> None:
    page = visit.open(f"/#/queue/{queue}?tab=settings")
    page.get_by_label("Retries").fill("7")
    page.get_by_label("Jobs at once, in all").fill("4")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(f"Settings of {queue} saved")).to_be_visible()
    config = site.get(f"/queue/{queue}")["config"]
    assert (config["max_retries"], config["max_workers"]) == (7, 4)
    page.get_by_label("Fewest worker processes").fill("9")
    page.get_by_label("Most worker processes").fill("2")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto("/#/settings")
    days = page.get_by_label("Days that history is kept")
    kept = site.get("/config")["retention_days"]
    days.fill("45")
    page.locator("section", has_text="System").get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved; in force everywhere")).to_be_visible()
    assert site.get("/config")["retention_days"] == 45
    site.ask("PUT", "/config", {"retention_days": kept})


def begin_enqueue(page: Page, kind: str) -> None:
    page.get_by_role("main").get_by_role("button", name="Enqueue").click()
    page.get_by_role("combobox", name="Type").fill(kind)


def test_a_job_by_hand_from_its_types_schema(visit: Visit, site: Site) -> None:
    page = visit.open("/#/queue/reports")
    begin_enqueue(page, "report_generation")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("template")).to_have_value("monthly")
    dialog.get_by_label("user_id").fill("u77")
    dialog.get_by_label("pages").fill("3")
    dialog.get_by_label("charts").uncheck()
    dialog.get_by_role("button", name="JSON").click()
    text = dialog.get_by_label("Payload, JSON")
    assert json.loads(text.input_value()) == {"user_id": "u77", "template": "monthly", "pages": 3, "charts": False}
    text.fill('{"user_id": 5}')
    dialog.get_by_role("button", name="Enqueue").click()
    expect(dialog.get_by_role("alert")).to_contain_text("does not fit its type's schema")
    text.fill('{"user_id": "u77", "pages": 4}')
    dialog.get_by_role("button", name="Form").click()
    expect(dialog.get_by_label("pages")).to_have_value("4")
    dialog.get_by_role("button", name="Enqueue").click()
    page.get_by_role("button", name="Open", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="report_generation")).to_be_visible()
    job = site.job(page.url.rpartition("/")[2])
    assert job["payload"] == {"user_id": "u77", "template": "monthly", "pages": 4, "charts": True}


def test_a_job_by_hand_of_a_type_that_nobody_told(visit: Visit, site: Site, queue: str) -> None:
    page = visit.open(f"/#/queue/{queue}")
    begin_enqueue(page, "shred")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Payload, JSON").fill('{"page": ')
    dialog.get_by_role("button", name="Enqueue").click()
    expect(dialog.get_by_role("alert")).to_contain_text("not JSON")
    dialog.get_by_label("Payload, JSON").fill('{"page": 1}')
    dialog.get_by_label("Priority").fill("700")
    dialog.get_by_role("button", name="Enqueue").click()
    expect(page.get_by_text("is enqueued")).to_be_visible()
    (job,) = until(lambda: site.get(f"/queue/{queue}/jobs")["jobs"])  # a list may be a moment behind
    assert (job["payload"], job["metadata"]["priority"]) == ({"page": 1}, 700)


def test_the_log_of_what_people_did(visit: Visit, site: Site, queue: str) -> None:
    site.ask("POST", f"/queue/{queue}/pause", {"reason": "disk"})
    page = visit.open("/#/log")
    page.get_by_role("button", name="People's actions").click()
    first = page.locator(".windowed-seen li").first
    expect(first).to_contain_text("paused")
    site.ask("POST", f"/queue/{queue}/resume")
    expect(first).to_contain_text("resumed")
    kinds = page.locator(".event-type").all_inner_texts()
    assert not {"enqueued", "started", "completed"} & set(kinds)
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.locator("[data-current]")).to_contain_text("paused")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("paused at")


def test_lists_are_saved(visit: Visit, site: Site, tmp_path: Path) -> None:
    for address, count in (
        ("/#/failures", len(site.get("/failures")["failures"])), ("/#/workers", 2), ("/#/queue/background?state=queued", 3),
    ):  # fmt: skip
        page = visit.open(address)
        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("link", name="CSV", exact=True).click()
        assert download.value.suggested_filename.startswith("hivelog-")
        download.value.save_as(tmp_path / "list.csv")
        assert len(list(csv.DictReader((tmp_path / "list.csv").read_text().splitlines()))) == count, address
        page.close()


def test_keys_walk_the_rows_of_every_page(visit: Visit) -> None:
    page = visit.open("/")
    for address in ("#/", "#/queue/reports", "#/failures", "#/workers", "#/log", "#/settings"):
        page.goto(f"/{address}")
        expect(page.locator("main table tbody tr, main ul.rows > li, .windowed-seen > li").first).to_be_visible()
        for _ in range(3):
            page.keyboard.press("j")
        page.keyboard.press("k")
        expect(page.locator("main [data-current]")).to_have_count(1)
    page.goto("/#/queue/reports")
    expect(page.locator("main tbody tr").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page).to_have_url(f"{visit.site.base}/#/job/" + page.url.rpartition("/")[2])
    expect(page.locator(".timeline, .story").first).to_be_visible()


def test_a_job_is_found_by_the_end_of_its_id(browser: Browser, site: Site) -> None:
    job = site.get("/jobs", type="charge_card", status="failed", limit=1)["jobs"][0]["id"]
    with visiting(browser, site) as visit:
        page = visit.open("/#/jobs")
        page.get_by_label("Search jobs").fill(job[-8:])
        page.get_by_role("option", name=f"id:{job[-8:]}").click()
        expect(page.locator(".jobs-body [role=row]")).to_have_count(1)
        expect(page.locator(".jobs-body [role=row]")).to_have_attribute("data-job", job)


def test_whoever_went_to_another_page_is_not_asked_any_more(visit: Visit) -> None:
    """To drain is to be counted first, which may take its time."""
    page = visit.open("/#/queue/background")
    counting: list[Route] = []
    page.route("**/jobs/actions", lambda route: counting.append(route))
    page.get_by_role("button", name="Drain queue").first.click()
    until(lambda: bool(page.evaluate("true") and counting))
    page.goto("/#/log")
    expect(page.get_by_role("heading", level=1, name="Log")).to_be_visible()
    with page.expect_response("**/jobs/actions"):
        counting[0].continue_()
    page.wait_for_timeout(300)
    expect(page.get_by_role("dialog")).to_have_count(0)
