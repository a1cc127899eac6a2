"""One job: its story, what it carries, why it waits, and what can be done with it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
from playwright.sync_api import Page, expect

from ..conftest import Servers
from ..sealed_log import superuser
from .conftest import Visit
from .sites import Site, until
from .story import ORDER


def opened(visit: Visit, job: str) -> Page:
    page = visit.open(f"/#/job/{job}")
    expect(page.get_by_role("heading", name="Timeline")).to_be_visible()
    return page


def newest(site: Site, **query: object) -> str:
    return str(site.get("/jobs", limit=1, **query)["jobs"][0]["id"])


def test_a_failed_job_tells_its_story(visit: Visit, site: Site) -> None:
    page = opened(visit, newest(site, status="failed", type="charge_card"))
    timeline = page.locator(".timeline li")
    expect(timeline).to_have_count(3)
    expect(timeline.nth(0)).to_contain_text("Enqueued")
    expect(timeline.nth(0)).to_contain_text("admin")
    expect(timeline.nth(1)).to_contain_text("attempt 1")
    expect(timeline.nth(1)).to_contain_text("ann")
    expect(timeline.nth(2)).to_contain_text("the bank did not answer within 10 s")
    expect(page.locator(".life span").last).to_contain_text("#1")
    expect(page.locator(".error-line")).to_contain_text("TimeoutError")
    expect(page.locator(".trace .code").last).to_contain_text("charge_card")


def test_bodies_fold_and_are_copied(visit: Visit, site: Site) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = opened(visit, newest(site, correlation_id=ORDER, type="send_mail"))
    expect(page.get_by_text("1042", exact=True)).to_be_visible()
    page.get_by_text("order:").click()
    expect(page.get_by_text("1042", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Copy the payload").click()
    assert '"lines": [' in page.evaluate("navigator.clipboard.readText()")
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    page.locator(".related a.id").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("report_generation")


def test_why_it_does_not_run(visit: Visit, site: Site) -> None:
    page = opened(visit, newest(site, queue="background", status="queued"))
    why = page.locator(".why")
    expect(why).to_contain_text("the archive moves to another disk")
    page = opened(visit, newest(site, type="resize_image", status="queued"))
    expect(page.locator(".why")).to_contain_text("resize_image")
    page = opened(visit, newest(site, type="report_generation", status="pending"))
    expect(page.locator(".why")).to_contain_text("due")


def test_a_job_list_behind_the_log_is_said(visit: Visit, site: Site) -> None:
    job = newest(site, queue="background", status="queued")
    with psycopg.connect(site.database) as other:  # holds the checkpoint: the projection cannot go on
        other.execute("select from hivelog.checkpoints where name = 'jobs' for update")
        site.enqueue("default", "noop", {})
        page = opened(visit, job)
        why = page.locator(".why")
        expect(why).to_contain_text(re.compile(r"The job list is behind the log by \d+ events?, for \d+ s"))
        other.rollback()
        expect(why).not_to_contain_text("behind the log")
        expect(why).to_contain_text("is paused by")
    site.settled()


def test_a_running_job_is_followed_and_cancelled(visit: Visit, site: Site) -> None:
    job = site.enqueue("reports", "slow_report", {"from": 20})
    page = opened(visit, job)
    expect(page.locator(".page-head .status")).to_have_text("processing")
    before = page.locator(".facts").inner_text()
    until(lambda: page.locator(".facts").inner_text() != before)
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason").fill("too slow")
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.locator(".page-head .status")).to_have_text("cancelled")
    expect(page.locator(".timeline")).to_contain_text("too slow")


def test_retry_with_another_payload(visit: Visit, site: Site) -> None:
    job = site.enqueue("notifications", "send_mail", {"to": "typo@nowhere.invalid"}, max_retries=0)
    until(lambda: site.job(job)["status"] == "failed")
    page = opened(visit, job)
    page.get_by_role("button", name="Edit and retry").click()
    page.get_by_label("Payload, as JSON").fill("{not json")
    page.get_by_role("button", name="Retry with this payload").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Payload, as JSON").fill('{"to": "right@example.org"}')
    page.get_by_role("button", name="Retry with this payload").click()
    expect(page.locator(".page-head .status")).to_have_text("completed")
    expect(page.locator(".timeline")).to_contain_text("with another payload")
    assert site.job(job)["payload"] == {"to": "right@example.org"}


def test_plain_retry(visit: Visit, site: Site) -> None:
    job = site.enqueue("notifications", "send_mail", {"to": "ann@gone.invalid"}, max_retries=0)
    until(lambda: site.job(job)["status"] == "failed")
    page = opened(visit, job)
    page.get_by_role("button", name="Retry", exact=True).click()
    expect(page.locator(".timeline li.started")).to_have_count(2)


def test_priority_and_time_are_changed(visit: Visit, site: Site) -> None:
    later = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    job = site.enqueue("default", "resize_image", {}, scheduled_for=later)
    page = opened(visit, job)
    page.get_by_role("button", name="Change", exact=True).click()
    page.get_by_role("spinbutton", name="Priority").fill("777")
    page.get_by_role("button", name="Change", exact=True).last.click()
    expect(page.locator(".facts")).to_contain_text("777")
    assert site.job(job)["metadata"]["priority"] == 777


def test_a_waiting_job_is_cancelled_and_brought_back(visit: Visit, site: Site) -> None:
    """To where it was: also to the time that it waits for."""
    later = (datetime.now(UTC) + timedelta(hours=5)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    job = site.enqueue("default", "resize_image", {}, scheduled_for=later)
    page = opened(visit, job)
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel 1 job").click()
    expect(page.locator(".page-head .status")).to_have_text("cancelled")
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".page-head .status")).to_have_text("pending")
    assert site.job(job)["metadata"]["scheduled_for"] == later


def test_what_it_carried_is_erased(visit: Visit, site: Site) -> None:
    job = site.enqueue("default", "noop", {"card": "4111"})
    until(lambda: site.job(job)["status"] == "completed")
    page = opened(visit, job)
    expect(page.get_by_text('"4111"')).to_be_visible()
    page.get_by_role("button", name="Erase payload").click()
    page.get_by_label("Reason").fill("the customer asked for it")
    page.get_by_role("button", name="Erase payloads 1 job").click()
    expect(page.locator(".timeline")).to_contain_text("Payload erased")
    expect(page.get_by_text('"4111"')).to_have_count(0)


def test_what_cannot_be_read_is_said(visit: Visit, site: Site, servers: Servers) -> None:
    """And hides no other job of the list."""
    tag = f"t{uuid4().hex[:8]}"
    bad, _ = (site.enqueue("default", "shred", {"card": "4111"}, tags=[tag]) for _ in range(2))
    site.settled()
    with superuser(servers, site.database) as connection:
        connection.execute("update hivelog.vault set body = '\\xff' where job = %s", (bad,))
    page = visit.open(f"/#/jobs?tag={tag}")
    expect(page.locator(".jobs-body [role=row]")).to_have_count(2)
    row = page.locator(f"[data-job='{bad}']")
    expect(row).to_contain_text("Damaged")
    row.get_by_role("link").first.click()
    expect(page.get_by_role("region", name="Payload")).to_contain_text("Damaged: it is not what was stored")


def test_an_unknown_id(visit: Visit) -> None:
    page = visit.open("/#/job/01a20e58-0000-7000-8000-000000000000")
    expect(page.get_by_role("heading", name="There is no such job")).to_be_visible()
