"""Failures grouped: their numbers lead to their jobs, and they are sent to run again."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from .conftest import Visit
from .sites import Site, until


def test_groups_lead_to_their_jobs(visit: Visit) -> None:
    page = visit.open("/#/failures")
    row = page.locator("tr", has_text="the bank did not answer")
    cells = row.locator("td.number a")
    expect(cells).to_have_count(4)
    count = int(cells.first.inner_text())
    row.get_by_role("button", name="the bank did not answer").click()
    expect(page.locator("tr.sample pre")).to_contain_text("Traceback")
    for place in range(4):
        cells.nth(place).click()
        expect(page.locator(".jobs-body [role=row]")).to_have_count(count)
        expect(page.locator(".jobs-body .cell.state").first).to_have_text("failed")
        page.go_back()
        expect(cells.nth(place)).to_have_text(str(count))


def counted(row: Locator) -> tuple[int, int]:
    """Failed attempts, and the jobs of the last hour."""
    attempts = row.locator(".where").inner_text().split(", ")[-1].split()[0]
    return int(attempts), int(row.locator("td.number").first.inner_text())


def test_a_job_that_failed_twice_is_one_job_of_two_attempts(visit: Visit, site: Site) -> None:
    page = visit.open("/#/failures?queue=notifications")
    row = page.locator("tr", has_text="mailbox unavailable")
    expect(row).to_be_visible()
    attempts, jobs = counted(row)
    job = site.enqueue("notifications", "send_mail", {"to": "y@gone.invalid"}, max_retries=1, retry_delay=1)
    until(lambda: site.job(job)["status"] == "failed")
    until(lambda: counted(row) == (attempts + 2, jobs + 1))  # by itself
    page.keyboard.press("j")
    expect(row).to_have_attribute("data-current", "")
    page.keyboard.press("Enter")
    expect(page.locator("tr.sample pre")).to_contain_text("Traceback")


def test_a_group_is_redriven_exactly(visit: Visit, site: Site) -> None:
    jobs = [site.enqueue("notifications", "send_mail", {"to": f"{n}@gone.invalid"}, max_retries=0) for n in range(2)]
    until(lambda: all(site.job(job)["status"] == "failed" for job in jobs))
    site.settled()
    failed = site.get("/jobs", type="send_mail", status="failed,expired", limit=500)["count"]
    page = visit.open("/#/failures?queue=notifications")
    row = page.locator("tr", has_text="mailbox unavailable")
    row.get_by_role("button", name="Redrive").click()
    page.get_by_label("Reason").fill("the mail server is back")
    page.get_by_role("button", name=f"Retry {failed} jobs").click()
    expect(page.get_by_text(f"{failed} jobs sent to run again")).to_be_visible()
    until(lambda: all(site.job(job)["version"] >= 6 for job in jobs))


def test_a_moment_has_its_own_figures(visit: Visit, site: Site) -> None:
    failed = site.get("/events", type="failed", queue="default", limit=1000)["events"]
    page = visit.open(f"/#/failures?at={failed[2]['position']}")
    row = page.locator("tr", has_text="the bank did not answer")
    expect(row.locator(".where")).to_contain_text("3 failed attempts")
    cells = row.locator("td.number a")
    expect(cells).to_have_text(["3"] * 4)
    expect(row.get_by_role("button", name="Redrive")).to_have_count(0)
    cells.first.click()
    expect(page.locator(".jobs-body [role=row]")).to_have_count(3)
    page.go_back()
    page.get_by_role("region", name="Time bar").get_by_role("button", name="Live").click()
    [now] = [each for each in site.get("/failures", spans="30d")["failures"] if each["type"] == "charge_card"]
    expect(cells.last).to_have_text(str(now["jobs"]["30d"]))


def test_no_failures_of_a_queue(visit: Visit) -> None:
    page = visit.open("/#/failures?queue=background")
    expect(page.get_by_role("heading", name="Nothing failed")).to_be_visible()
