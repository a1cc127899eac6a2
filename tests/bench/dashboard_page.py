"""The Overview in Chromium: when it is painted, when all of it is there, what is sent, what it costs PostgreSQL."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from typing import Any, Final

import psutil
import psycopg
from playwright.sync_api import Browser, BrowserContext, Page

from ..browser import chromium
from .installation import Installation

_VIEWS: Final = 5
# First paint of content; and when the last place that waited for an answer got it, with no task on the way any more.
_WATCH: Final = """() => {
  window.seen = { paint: null, whole: null, last: 0 };
  new PerformanceObserver((list) => {
    for (const { name, startTime } of list.getEntries()) if (name === "first-contentful-paint") window.seen.paint = startTime;
  }).observe({ type: "paint", buffered: true });
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) window.seen.last = Math.max(window.seen.last, startTime + duration);
  }).observe({ type: "longtask", buffered: true });
  const look = () => {
    const whole = document.querySelector("article.card[data-queue]") && document.querySelector(".chart canvas")
      && !document.querySelector("[aria-busy=true], .skeleton");
    if (whole) window.seen.whole = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""
_BARS: Final = {"first_paint_ms": 1000, "interactive_ms": 1500, "transferred_bytes": 150_000}


def measured(installation: Installation, base: str, seconds: int) -> dict[str, Any]:
    if chromium.executable() is None:
        return {"page": chromium.MISSING}
    with chromium.started() as browser:
        views = [_view(browser, installation, base) for _ in range(_VIEWS)]
        cost = _cost(browser, installation, base, seconds)
    # The first view is the first that the server process answers; the browser knows nothing at any.
    found: dict[str, Any] = {}
    for name, bar in _BARS.items():
        values = [view[name] for view in views]
        found[name] = {
            "first": round(values[0]), "median": round(statistics.median(values)), "most": round(max(values)),
            "bar": bar, "reached": max(values) < bar,
        }  # fmt: skip
    return {"page": found, "postgres": cost}


@contextlib.contextmanager
def _context(browser: Browser, installation: Installation, base: str) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=base, viewport={"width": 1440, "height": 900})
    answer = context.request.post("/login", data={"token": installation.token}, headers={"origin": base})
    assert answer.ok, answer.text()
    yield context
    context.close()


def _view(browser: Browser, installation: Installation, base: str) -> dict[str, float]:
    with _context(browser, installation, base) as context:
        page = context.new_page()
        page.add_init_script(f"({_WATCH})()")
        sent = _transferred(page)
        page.goto("/")
        while not page.evaluate("window.seen.whole"):
            page.wait_for_timeout(20)
        page.wait_for_timeout(500)  # a long task that it began with is told when it ends
        seen = page.evaluate("window.seen")
        return {
            "first_paint_ms": seen["paint"], "interactive_ms": max(seen["whole"], min(seen["last"], seen["whole"] + 500)),
            "transferred_bytes": sum(sent),
        }  # fmt: skip


def _transferred(page: Page) -> list[float]:
    """Bytes on the wire of everything that the page asks for, headers too; the stream's are not among them."""
    found: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: found.append(event["encodedDataLength"]))
    return found


def _cost(browser: Browser, installation: Installation, base: str, seconds: int) -> dict[str, Any]:
    """Percent of a core that PostgreSQL uses: with no page open, then with one."""
    url = installation.database_url
    closed = _used(url, lambda: time.sleep(seconds))
    with _context(browser, installation, base) as context:
        page = context.new_page()
        page.goto("/")
        page.wait_for_timeout(3000)
        opened = _used(url, lambda: page.wait_for_timeout(1000 * seconds))
    cost = round(opened - closed, 2)
    return {
        "closed_percent": closed, "open_percent": opened, "dashboard_percent": cost, "bar": 3, "reached": cost < 3
    }  # fmt: skip


def _used(url: str, work: Any) -> float:
    with psycopg.connect(url) as connection:
        postmaster = psutil.Process(connection.info.backend_pid).parent()
    assert postmaster is not None

    def total() -> float:
        # The postmaster's own time includes the children that have ended.
        times = postmaster.cpu_times()
        found = times.user + times.system + times.children_user + times.children_system
        for process in postmaster.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found += times.user + times.system
        return float(found)

    began, before = time.monotonic(), total()
    work()
    return round(100 * (total() - before) / (time.monotonic() - began), 2)
