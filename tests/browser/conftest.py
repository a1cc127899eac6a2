"""A site with a story, and pages of a real browser that are logged in to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hivelog import embedded
from playwright.sync_api import Browser, BrowserContext, Page, expect

from ..cli_world import TOKEN
from ..conftest import Servers, new_database
from . import chromium, sites, story

_HERE = Path(__file__).parent
_PATIENCE = 30_000  # ms
# The machine may be busy with other tests; what holds is found at once all the same.
expect.set_options(timeout=_PATIENCE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if chromium.executable() is None:
        for item in items:
            if _HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=chromium.MISSING))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium.started() as browser:
        yield browser


@pytest.fixture(scope="session")
def site(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    """One for most tests, with jobs in every state; whoever stops something takes `own_site`."""
    folder = tmp_path_factory.mktemp("site")
    with (
        new_database(servers, template) as database,
        sites.running(database, servers.redis_url, folder) as site,
    ):
        story.tell(site)
        yield site


@pytest.fixture
def own_site(servers: Servers, template: str, tmp_path: Path) -> Iterator[sites.Site]:
    """An empty one of the test's own, on a Redis of its own."""
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(new_database(servers, template))
        cache = stack.enter_context(embedded.temporary(with_postgres=False))
        assert cache.redis_url is not None
        yield stack.enter_context(sites.running(database, cache.redis_url, tmp_path))


class Visit:
    """A browser's window on a site: one context, so cookies and the feed are shared by its tabs."""

    def __init__(self, browser: Browser, site: sites.Site, **options: Any) -> None:
        # Nothing slides or fades: what is looked at stands still, and two cores have less to draw.
        options = {"viewport": {"width": 1440, "height": 900}, "reduced_motion": "reduce", **options}
        self.site = site
        self.context: BrowserContext = browser.new_context(base_url=site.base, **options)
        self.context.set_default_timeout(_PATIENCE)
        self.wrong: list[str] = []
        self.context.on("weberror", lambda error: self.wrong.append(str(error.error)))
        self.context.on("console", self._said)

    def _said(self, message: Any) -> None:
        # A refused request is said here as well; tests that cause one look at the page instead.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.wrong.append(message.text)

    def log_in(self) -> None:
        """As a script would, once a site: attempts are counted. test_login does it by hand."""
        if self.site.cookies is None:
            origin = {"origin": self.site.base}
            answer = self.context.request.post("/login", data={"token": TOKEN}, headers=origin)
            assert answer.ok, answer.text()
            self.site.cookies = self.context.cookies()
        self.context.add_cookies(self.site.cookies)

    def open(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.goto(path)
        return page


@contextlib.contextmanager
def visiting(browser: Browser, site: sites.Site, **options: Any) -> Iterator[Visit]:
    """Logged in. Afterwards no page may have thrown, or have broken its content security policy."""
    visit = Visit(browser, site, **options)
    visit.log_in()
    yield visit
    visit.context.close()
    assert visit.wrong == []


@pytest.fixture
def visit(browser: Browser, site: sites.Site) -> Iterator[Visit]:
    with visiting(browser, site) as visit:
        yield visit


@pytest.fixture
def phone(browser: Browser, site: sites.Site) -> Iterator[Visit]:
    size = {"width": 390, "height": 844}
    with visiting(browser, site, viewport=size, is_mobile=True, has_touch=True) as visit:
        yield visit
