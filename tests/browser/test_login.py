"""Coming in: by a link that works once, by a token, and not at all."""

from __future__ import annotations

import re
from pathlib import Path

from hivelog import embedded
from playwright.sync_api import Browser, expect

from ..cli_world import TOKEN
from ..conftest import Servers, new_database
from .conftest import Visit
from .sites import Site, until


def test_a_token_opens_the_dashboard(browser: Browser, site: Site) -> None:
    visit = Visit(browser, site)
    page = visit.open("/")
    page.get_by_label("Access token").fill("not-the-token-of-this-place")
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#error")).to_contain_text("not valid")
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Live", exact=True).first).to_be_visible()
    visit.context.close()


def test_the_first_start_prints_a_link_that_works_once(
    browser: Browser, servers: Servers, template: str, tmp_path: Path
) -> None:
    with (
        new_database(servers, template) as database,
        embedded.temporary(with_postgres=False) as cache,
    ):
        assert cache.redis_url is not None
        site = Site(database, cache.redis_url, tmp_path)
        try:
            del site.environment["HIVELOG_ADMIN_TOKEN"]  # as on a first start that nobody prepared
            site.serve()
            link = until(lambda: re.search(r"/login\?code=\S+", (tmp_path / "processes.log").read_text()))
            _comes_in_once(browser, site, link.group())
        finally:
            site.close()


def _comes_in_once(browser: Browser, site: Site, link: str) -> None:
    for works in (True, False):
        visit = Visit(browser, site)
        page = visit.open(link)
        assert "code" not in page.url, "it must not stay in the history"
        page.get_by_role("button", name="Log in").click()
        if works:
            expect(page.get_by_text("Live", exact=True).first).to_be_visible()
        else:
            expect(page.locator("#error")).to_contain_text("not valid")
        visit.context.close()
