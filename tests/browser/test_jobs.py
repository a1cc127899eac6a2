"""The list of jobs: searched, walked by keys, chosen from, acted on, saved, and kept true by the feed."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from uuid import uuid4

from playwright.sync_api import Page, Route, expect

from .conftest import Visit
from .sites import Site, until
from .story import FAILED, ORDER


def rows(page: Page):  # type: ignore[no-untyped-def]
    return page.locator(".jobs-body [role=row]")


def begin_search(page: Page) -> None:
    field = page.get_by_label("Search jobs")
    expect(field).to_be_visible()
    if not field.evaluate("field => field === document.activeElement"):
        page.keyboard.press("/")
    expect(field).to_be_focused()


def search(page: Page, text: str) -> None:
    begin_search(page)
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def some(site: Site, count: int, **metadata: object) -> str:
    """A tag of waiting jobs of nobody's type."""
    tag = f"t{uuid4().hex[:8]}"
    for number in range(count):
        site.enqueue("default", "shred", {"page": number}, tags=[tag], **metadata)
    site.settled()
    return tag


def test_searching_leaves_its_words_in_the_address(visit: Visit) -> None:
    page = visit.open("/#/jobs")
    search(page, "state:failed type:charge_card")
    expect(rows(page)).to_have_count(FAILED)
    search(page, "user_id:u3")
    expect(rows(page)).to_have_count(1)
    expect(page.locator(".chip")).to_have_count(3)
    again = visit.open("/" + page.evaluate("location.hash"))
    expect(rows(again)).to_have_count(1)
    expect(again.locator(".chip")).to_contain_text(["failed", "charge_card", "u3"])
    page.get_by_label("Remove user_id u3").click()
    expect(rows(page)).to_have_count(FAILED)
    page.go_back()
    expect(rows(page)).to_have_count(1)


def test_every_field_finds(visit: Visit, site: Site) -> None:
    job = site.get("/jobs", correlation_id=ORDER, type="send_mail")["jobs"][0]
    page = visit.open("/#/jobs")
    for words, count in (
        (f"correlation:{ORDER}", 2), ("tag:vip", 3), ("queue:background state:queued", 3), ("since:24h state:expired", 1),
        ("source:shop type:send_mail", 1), ("worker:ann state:failed type:charge_card", FAILED),
        ('"the bank did not" user_id:u5', 1), ("order.id:1042", 2), ("until:30d", 0),
    ):  # fmt: skip
        page.goto("/#/jobs")
        search(page, words)
        expect(rows(page)).to_have_count(count)
    search(page, f"id:{job['id']}")
    expect(page.get_by_role("heading", level=1)).to_have_text("send_mail")


def test_names_and_values_are_completed(visit: Visit) -> None:
    page = visit.open("/#/jobs")
    begin_search(page)
    page.keyboard.type("sta")
    page.get_by_role("option", name="state:").click()
    page.keyboard.type("exp")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(".chip")).to_contain_text(["expired"])
    expect(rows(page)).to_have_count(1)


def test_names_of_payload_fields_are_completed(visit: Visit) -> None:
    page = visit.open("/#/jobs")
    begin_search(page)
    page.keyboard.type("user")
    page.get_by_role("option", name="user_id:").click()
    page.keyboard.type("u9")
    page.keyboard.press("Enter")
    expect(rows(page)).to_have_count(4)


def test_keys_walk_choose_and_open(visit: Visit) -> None:
    page = visit.open("/#/jobs?status=failed&type=charge_card")
    expect(rows(page)).to_have_count(FAILED)
    for key in "jjkx":
        page.keyboard.press(key)
    expect(rows(page).nth(1)).to_have_class("jobs-row current chosen")
    page.keyboard.press("j")
    page.keyboard.press("Shift+X")
    expect(page.get_by_role("toolbar")).to_contain_text("2 jobs chosen")
    page.keyboard.press("Escape")
    expect(page.locator(".jobs-row.chosen")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("charge_card")
    page.go_back()
    expect(rows(page)).to_have_count(FAILED)


def test_columns_are_chosen_and_kept(visit: Visit) -> None:
    page = visit.open("/#/jobs?status=failed&type=charge_card")
    page.get_by_text("Columns", exact=True).first.click()
    page.get_by_label("Worker", exact=True).check()
    expect(rows(page).first.locator(".cell.worker")).to_have_text("ann")
    page.reload()
    expect(rows(page).first.locator(".cell.worker")).to_have_text("ann")
    page.get_by_text("Columns", exact=True).first.click()
    page.get_by_label("Worker", exact=True).uncheck()
    expect(page.locator(".cell.worker")).to_have_count(0)


def test_chosen_jobs_are_cancelled_with_a_reason_and_the_way_back(visit: Visit, site: Site) -> None:
    tag = some(site, 4)
    page = visit.open(f"/#/jobs?tag={tag}")
    for number in range(3):
        rows(page).nth(number).get_by_role("checkbox").check()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason").fill("not needed any more")
    page.get_by_role("button", name="Cancel 3 jobs").click()
    expect(page.get_by_text("3 jobs cancelled")).to_be_visible()
    found = site.get("/jobs", tag=tag, status="cancelled")["jobs"]
    assert len(found) == 3
    told = site.get(f"/job/{found[0]['id']}/history")["events"][-1]
    assert told["type"] == "cancelled"
    begun = site.get("/events", after=told["data"]["action"] - 1, limit=1)["events"][0]
    assert site.get(f"/actions/{begun['data']['action_id']}")["reason"] == "not needed any more"
    page.get_by_role("button", name="Undo").click()
    until(lambda: site.get("/jobs", tag=tag, status="queued")["count"] == 4)


def test_all_that_match_are_counted_exactly_before(visit: Visit, site: Site) -> None:
    tag = some(site, 130)  # more than one page of the list
    page = visit.open(f"/#/jobs?tag={tag}")
    page.get_by_role("button", name="Choose all that match").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    counted = page.get_by_role("button", name="Cancel 130 jobs")
    counted.wait_for()
    late = site.enqueue("default", "shred", {"page": 999}, tags=[tag])
    page.get_by_label("Reason").fill("the order was taken back")
    counted.click()
    expect(page.get_by_text("130 jobs cancelled")).to_be_visible()
    assert site.job(late)["status"] == "queued", "it came after the count"
    page.get_by_role("button", name="Undo").click()
    until(lambda: site.get("/jobs", tag=tag, status="queued", limit=500)["count"] == 131)


def test_a_list_is_saved_as_csv_and_ndjson(visit: Visit, tmp_path: Path) -> None:
    page = visit.open("/#/jobs?status=failed&type=charge_card")
    expect(rows(page)).to_have_count(FAILED)
    found = {}
    for kind in ("CSV", "NDJSON"):
        page.get_by_text("Export", exact=True).click()
        with page.expect_download() as download:
            page.get_by_role("link", name=kind, exact=True).click()
        download.value.save_as(tmp_path / kind)
        found[kind] = (tmp_path / kind).read_text(encoding="utf-8")
    table = list(csv.DictReader(found["CSV"].splitlines()))
    lines = [json.loads(line) for line in found["NDJSON"].splitlines()]
    assert len(table) == len(lines) == FAILED
    assert [row["id"] for row in table] == [line["id"] for line in lines]
    assert json.loads(table[-1]["payload"]) == lines[-1]["payload"]


def test_new_jobs_wait_behind_a_button_and_rows_change_where_they_stand(visit: Visit, site: Site) -> None:
    tag = some(site, 3)
    page = visit.open(f"/#/jobs?tag={tag}")
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
    expect(rows(page)).to_have_count(3)
    first = rows(page).first.get_attribute("data-job")
    for _ in range(5):
        site.enqueue("default", "shred", {}, tags=[tag])
    site.ask("POST", f"/job/{first}/cancel", {})
    news = page.get_by_role("button", name=re.compile(r"^\d new$"))
    expect(news).to_be_visible()
    # When the stream begins the list is read once more, and may meet the first of them; no row comes afterwards.
    until(lambda: rows(page).count() + int(news.inner_text().split()[0]) == 8)
    expect(page.locator(f"[role=row][data-job='{first}']")).to_contain_text("cancelled")
    shown = rows(page).count()
    site.enqueue("default", "shred", {}, tags=[tag])
    until(lambda: shown + int(news.inner_text().split()[0]) == 9)
    expect(rows(page)).to_have_count(shown)
    news.click()
    expect(rows(page)).to_have_count(9)


def many(site: Site, count: int) -> str:
    """A tag of as many waiting jobs, enqueued at once."""
    tag = f"t{uuid4().hex[:8]}"
    jobs = [{"queue": "default", "type": "shred", "payload": {}, "metadata": {"tags": [tag]}} for _ in range(count)]
    site.ask("POST", "/jobs", jobs)
    site.settled()
    return tag


def comes_to_the_end(page: Page, count: int) -> None:
    """Whoever scrolls down again and again sees the last of them."""

    def at_the_end() -> bool:
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        return page.get_by_text(f"All {count} jobs").is_visible()

    until(at_the_end, 60, "the list did not go on")


def test_a_long_list_has_few_rows_and_goes_on(visit: Visit, site: Site) -> None:
    page = visit.open(f"/#/jobs?tag={many(site, 900)}")
    expect(rows(page).first).to_be_visible()
    comes_to_the_end(page, 900)
    assert rows(page).count() < 80


def test_a_list_goes_on_when_its_beginning_is_read_again(visit: Visit, site: Site) -> None:
    """Once its stream begins, say: the page that was on its way then is given up."""
    page = visit.open(f"/#/jobs?tag={many(site, 150)}")
    expect(page.locator("[data-connection]")).to_have_attribute("data-connection", "live")
    expect(rows(page).first).to_be_visible()
    page.keyboard.press("p")
    site.enqueue("default", "shred", {})
    expect(page.locator("[data-connection] .pill-more")).to_be_visible()  # something is held back
    asked: list[Route] = []
    page.route("**/jobs?*after=*", lambda route: asked.append(route), times=1)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    until(lambda: bool(page.evaluate("true") and asked))
    page.keyboard.press("p")
    comes_to_the_end(page, 150)


def test_a_further_page_that_did_not_come_is_asked_for_again(visit: Visit, site: Site) -> None:
    page = visit.open(f"/#/jobs?tag={many(site, 150)}")
    expect(rows(page).first).to_be_visible()
    page.route("**/jobs?*after=*", lambda route: route.abort(), times=1)
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(page.locator(".jobs-table .error-box")).to_contain_text("does not answer")
    expect(page.get_by_text("All 150 jobs")).to_be_visible()  # by itself


def test_cards_on_a_phone(phone: Visit) -> None:
    page = phone.open("/#/jobs?status=failed")
    card = rows(page).first
    expect(card).to_be_visible()
    box = card.bounding_box()
    assert box is not None
    assert box["height"] > 90
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    card.get_by_role("link").first.tap()
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_empty_list_says_why(visit: Visit) -> None:
    page = visit.open("/#/jobs?q=nosuchword")
    expect(page.get_by_role("heading", name="No job matches")).to_be_visible()
    page.get_by_role("button", name="Show all jobs").click()
    expect(rows(page).first).to_be_visible()


def test_jobs_of_a_deleted_queue_are_listed_and_marked(visit: Visit, site: Site) -> None:
    site.ask("PUT", "/queue/leaflets", {})
    job = site.enqueue("leaflets", "shred", {})
    before = site.ask("POST", f"/job/{job}/cancel", {})["position"]
    site.ask("DELETE", "/queue/leaflets")
    site.settled()
    page = visit.open("/#/jobs?status=cancelled")
    of = page.locator(f".jobs-body [role=row]:has([title='{job}']) .queue-link")
    expect(of).to_have_text("leaflets deleted")
    of.click()
    expect(rows(page)).to_have_count(1)
    expect(page.locator(".chip")).to_contain_text(["leaflets"])
    page.goto(f"/#/jobs?queue=leaflets&at={before}")
    expect(of).to_have_text("leaflets")


def test_a_menu_closes_by_escape_and_when_one_goes_elsewhere(visit: Visit) -> None:
    page = visit.open("/#/jobs?status=failed")
    columns, export = (page.locator("details.menu", has_text=name) for name in ("Columns", "Export"))
    columns.locator("summary").click()
    expect(columns).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(columns).not_to_have_attribute("open", "")
    expect(columns.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(columns).to_have_attribute("open", "")
    export.locator("summary").click()
    expect(columns).not_to_have_attribute("open", "")
    expect(export).to_have_attribute("open", "")
    for _ in range(3):  # both kinds of file, then on
        page.keyboard.press("Tab")
    expect(export).not_to_have_attribute("open", "")
    columns.locator("summary").click()
    page.get_by_role("heading", name="Jobs").click()
    expect(columns).not_to_have_attribute("open", "")


def test_enter_presses_what_has_the_focus(visit: Visit, site: Site) -> None:
    """Not the row that the keys are at: the page may not have been drawn anew since the focus moved."""
    page = visit.open(f"/#/jobs?status=failed&at={site.get('/queue/status')['position']}")
    expect(rows(page)).not_to_have_count(0)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Workers").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#/workers"))


def test_what_is_found_is_not_covered_by_suggestions(visit: Visit) -> None:
    page = visit.open("/#/jobs")
    search(page, "state:failed")
    expect(rows(page)).not_to_have_count(0)
    suggestions = page.get_by_role("listbox", name="Suggestions")
    expect(suggestions).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(suggestions).to_be_visible()
    page.keyboard.type("type:charge_card")
    page.keyboard.press("Enter")
    page.get_by_label("Remove state failed").click()
    expect(page.locator(".chip")).to_have_count(1)
    expect(suggestions).to_be_hidden()
