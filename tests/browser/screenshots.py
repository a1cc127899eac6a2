"""Pictures of every page: desktop and phone, light and dark, full and empty.

    make screenshots          as they are into build/screenshots, smaller into docs/img, which docs/screenshots.md shows
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from hivelog import embedded
from hivelog.sql import migrate
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from ..bench import dashboard_fill
from ..conftest import Servers, new_database
from . import chromium, sites, story
from .conftest import visiting

_ROOT: Final = Path(__file__).parents[2]
EVERYTHING: Final = _ROOT / "build" / "screenshots"
SHOWN: Final = _ROOT / "docs" / "img"
SIZES: Final[dict[str, dict[str, Any]]] = {
    "desktop": {"viewport": {"width": 1440, "height": 900}},
    "phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
}
PAGES: Final = {
    "overview": "#/", "queue": "#/queue/reports", "jobs": "#/jobs", "failures": "#/failures", "workers": "#/workers",
    "log": "#/log", "settings": "#/settings",
}  # fmt: skip

def main() -> None:
    if chromium.executable() is None:
        raise SystemExit(chromium.MISSING)
    shutil.rmtree(EVERYTHING, ignore_errors=True)
    EVERYTHING.mkdir(parents=True)
    with ExitStack() as stack:
        browser = stack.enter_context(chromium.started())
        for fill in ("full", "empty"):
            site = stack.enter_context(_site(fill))
            for name in _pictures(browser, site, fill):
                print(name)
    shutil.rmtree(SHOWN, ignore_errors=True)
    SHOWN.mkdir()
    for made in EVERYTHING.glob("*.png"):
        # 128 colours are all that these pages have: a third of the size, and nothing to be seen of it.
        with Image.open(made) as picture:
            picture.quantize(128).save(SHOWN / made.name, optimize=True)


@contextmanager
def _site(fill: str) -> Iterator[sites.Site]:
    with ExitStack() as stack:
        own = stack.enter_context(embedded.temporary(parameters={"fsync": "off"}))
        assert own.database_url is not None
        assert own.redis_url is not None
        servers = Servers(own.database_url, own.redis_url, own.superuser_url)
        database = stack.enter_context(new_database(servers))
        migrate.migrate(database)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        site = stack.enter_context(sites.running(database, own.redis_url, folder))
        if fill == "full":
            _history(site)
            story.tell(site)
        yield site


def _history(site: sites.Site) -> None:
    """A day of it, so that charts have something to show."""
    types = ("cleanup", "resize_image", "send_mail", "report_generation")
    for _ in dashboard_fill.fill(site.database, 30_000, queues="%", types=types, days=1, errors=1, waves=43):
        pass
    site.settled()


def _pictures(browser: Browser, site: sites.Site, fill: str) -> Iterator[str]:
    pages = dict(PAGES)
    if fill == "full":
        pages["job"] = f"#/job/{site.get('/jobs', type='send_mail', status='pending')['jobs'][0]['id']}"
    for size, options in SIZES.items():
        for scheme in ("light", "dark"):
            with visiting(browser, site, color_scheme=scheme, **options) as visit:
                page = visit.open("/")
                for name, address in pages.items():
                    yield _picture(page, address, f"{name}-{size}-{scheme}-{fill}")


def _picture(page: Page, address: str, name: str) -> str:
    page.goto(f"/{address}")
    page.locator("main h1").wait_for()
    page.wait_for_load_state("load")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.wait_for_timeout(400)  # charts draw a frame later than their numbers
    for trace in page.locator("details.trace[open] > summary").all():
        trace.click()  # it names the folders of this machine
    page.screenshot(path=EVERYTHING / f"{name}.png", animations="disabled")
    return name


if __name__ == "__main__":
    main()
